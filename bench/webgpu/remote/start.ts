import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { DeviceError, messageOf, UsageError } from '../../../src/errors.ts';
import { ROOT } from '../../paths.ts';
import type { ResultsServer } from './server.ts';

/* Starts what measures: a browser or Deno. Each returns what ends it. */

export type Stop = () => Promise<void>;

const FLAGS = ['--no-sandbox', '--enable-unsafe-webgpu'];
const SOFTWARE = '--use-webgpu-adapter=swiftshader';
/** Milliseconds. */
const PATIENCE = 30_000;
/** Of a browser that does not start: it goes on with all that it printed. */
const LONGEST_MESSAGE = 300;

/**
 * Opens the page in a headless Chromium; on a software adapter where it has no other.
 * @param executable its path
 */
export async function startBrowser(executable: string, server: ResultsServer): Promise<Stop> {
  if (!existsSync(executable)) throw new UsageError(`--browser ${executable}: there is no such file`);
  for (const flags of [FLAGS, [...FLAGS, SOFTWARE]]) {
    const browser = await launch(executable, flags);
    try {
      if (await hasAdapter(browser, server)) {
        await openPage(browser, executable, server);
        return () => browser.close();
      }
    } catch (error) {
      await browser.close();
      throw new DeviceError(`${executable}: the page does not open: ${messageOf(error)}`);
    }
    await browser.close();
  }
  throw new DeviceError(`${executable} has no WebGPU adapter, not even with ${SOFTWARE}`);
}

async function launch(executable: string, args: readonly string[]): Promise<Browser> {
  const { chromium } = await playwright();
  try {
    // Ctrl-C is the command's, which says what is left.
    const signals = { handleSIGINT: false, handleSIGTERM: false };
    return await chromium.launch({ executablePath: executable, args: [...args], timeout: PATIENCE, ...signals });
  } catch (error) {
    throw new DeviceError(`--browser ${executable} does not start: ${messageOf(error).slice(0, LONGEST_MESSAGE)}`);
  }
}

/** WebGPU is for pages of a site only; the script as a page does nothing. */
async function hasAdapter(browser: Browser, { address }: ResultsServer): Promise<boolean> {
  const page = await browser.newPage();
  await page.goto(`${address}page.js`, { timeout: PATIENCE });
  const found = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
  await page.close();
  return found;
}

async function openPage(browser: Browser, executable: string, server: ResultsServer): Promise<void> {
  const failure = (what: string) => server.fail(new DeviceError(`${executable}: ${what}`));
  browser.on('disconnected', () => failure('ended before it was done'));
  const page = await browser.newPage();
  page.on('crash', () => failure('the page has crashed'));
  page.on('pageerror', (error) => failure(`the page has failed: ${messageOf(error)}`));
  await page.goto(server.address, { timeout: PATIENCE });
}

async function playwright() {
  try {
    return await import('playwright-core');
  } catch {
    throw new UsageError('--browser needs playwright-core ("npm ci"); without it, open the page in a browser yourself');
  }
}

/** Deno's command: the one on the PATH, or that of the tests. */
export function findDeno(): readonly string[] | undefined {
  const ofTests = fileURLToPath(new URL('test/deno/node_modules/deno/bin.cjs', ROOT));
  const names = process.platform === 'win32' ? ['deno.exe'] : ['deno'];
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  const onPath = folders.flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
  if (onPath) return [onPath];
  return existsSync(ofTests) ? [process.execPath, ofTests] : undefined;
}

/** @param script may reach nothing but the server and the GPU */
export async function startDeno(script: string, server: ResultsServer): Promise<Stop> {
  const [command, ...before] = findDeno() ?? [];
  if (command === undefined) {
    throw new DeviceError(
      'Deno is not installed: put "deno" on the PATH, or run "npm ci --prefix test/deno --ignore-scripts"',
    );
  }
  const { host } = new URL(server.address);
  const flags = ['--unstable-webgpu', '--no-config', '--no-prompt', '--allow-env', `--allow-net=${host}`];
  const deno = spawn(command, [...before, 'run', ...flags, '-', server.address], {
    stdio: ['pipe', 'ignore', 'inherit'],
    env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' },
  });
  deno.on('error', (error) => server.fail(new DeviceError(`Deno does not start: ${error.message}`)));
  deno.on('exit', (status, signal) =>
    server.fail(new DeviceError(`Deno has ended before it was done (${signal ?? `status ${status}`})`)),
  );
  // It may end before it has read all.
  deno.stdin.on('error', () => {});
  deno.stdin.end(script);
  return () => ended(deno);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill();
  await exit;
}

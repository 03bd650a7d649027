import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/* The command as users run it: a process of its own. */

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Longer than anything that the suites start; what takes longer hangs, and is killed. */
const TIMEOUT = 30_000;

export const WEIGHTS = sharedPath('models/resnet20-12fca82f.th');
export const DOG_CAT = sharedPath('images/dog-cat.jpg');
export const MODEL = ['--model', 'resnet20-cifar10', '--weights', WEIGHTS] as const;
export const ON_CPU = ['--device', 'cpu'] as const;

/** Hides the Vulkan drivers of the machine. */
export const NO_DRIVERS = { VK_ICD_FILENAMES: '/nonexistent', VK_DRIVER_FILES: '/nonexistent' };

export interface Run {
  /** The exit status; null when a signal ended the process. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** The lines on stderr, without those that Dawn writes. */
  readonly stderr: readonly string[];
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The user to run as, where this process may choose. */
  readonly uid?: number;
  /** Closes the pipe from stdout before anything is written. */
  readonly closeStdout?: boolean;
}

export function fmgcam(args: readonly string[], { env, uid, closeStdout }: RunOptions = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT,
      ...(uid !== undefined && { uid }),
    });
    const text = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (chunk: string) => {
        text[name] += chunk;
      });
    }
    if (closeStdout) child.stdout.destroy();
    child.on('error', reject);
    child.on('close', (status, signal) =>
      resolve({ status, signal, stdout: text.stdout, stderr: withoutDawn(text.stderr) }),
    );
  });
}

/** Dawn's warnings go to stderr by themselves, with indented lines of their own and an empty one at their end. */
function withoutDawn(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !/^(Warning: | {4}at )/.test(line));
}

/** Whether the command can compute on WebGPU here, and if not, why. In continuous integration it must. */
export async function missingWebGpu(): Promise<string | undefined> {
  const { stdout } = await fmgcam(['doctor', '--json']);
  const { devices }: { devices: { device: string; usable: boolean; reason?: string }[] } = JSON.parse(stdout);
  const webgpu = devices.find(({ device }) => device === 'webgpu');
  if (webgpu?.usable) return undefined;
  const reason = webgpu?.reason ?? 'the doctor does not mention it';
  if (process.env.CI) throw new Error(`CI must have a WebGPU adapter: ${reason}`);
  return reason;
}

export function sharedPath(path: string): string {
  return fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
}

/** A new folder that goes when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fmgcam-test-'));
  chmodSync(folder, 0o755);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file of its own folder, which goes when the test ends. */
export function temporaryFile(name: string, content: string | Uint8Array): string {
  const file = join(temporaryFolder(), name);
  writeFileSync(file, content);
  return file;
}

import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestProject } from 'vitest/node';

/* Runs once before all projects, which then share the files; only when the suite that reads them is about to run. */

const SUITE = 'test/nn/models/pytorch.test.ts';
/** What takes longest comes first. */
const NETWORKS = ['resnet50v2', 'resnet50', 'densenet121', 'resnet56-cifar10', 'resnet18', 'resnet-scenes'];

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SCRIPTS = root('scripts/pytorch/');
const OUT = root('.cache/pytorch/');

const run = promisify(execFile);

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the networks are, or why there are none. */
    networks: { readonly folder: string } | { readonly missing: string };
  }
}

export default async function makeNetworks({ vitest, provide }: TestProject): Promise<void> {
  if (!vitest.state.getPaths().some((path) => path.endsWith(SUITE))) return;
  const missing = NETWORKS.every(isUpToDate) ? undefined : await runScripts();
  if (missing && process.env.CI) throw new Error(`CI must have PyTorch's values of whole networks: ${missing}`);
  provide('networks', missing ? { missing } : { folder: OUT });
}

/** Starting PyTorch takes seconds, so that the scripts are asked only if something may have changed. */
function isUpToDate(name: string): boolean {
  const expected = `${OUT}${name}.expected.safetensors`;
  const modified = (path: string) => statSync(path).mtimeMs;
  const scripts = readdirSync(SCRIPTS).filter((file) => file.endsWith('.py'));
  const sources = [...scripts.map((file) => SCRIPTS + file), root('models/resnet-scenes.safetensors')];
  return existsSync(expected) && sources.every((file) => modified(file) < modified(expected));
}

/** @returns why the files could not be made, or undefined */
async function runScripts(): Promise<string | undefined> {
  const python = process.env.FMGCAM_PYTHON ?? '/usr/bin/python3';
  if (spawnSync(python, ['-c', 'import torch, torchvision']).status !== 0) {
    return `${python} has no PyTorch; install python3-torchvision, or set FMGCAM_PYTHON to a Python that has it`;
  }
  console.info(`making PyTorch's values in ${OUT}: a minute, once`);
  const left = NETWORKS.values();
  // Each on one thread: what it does besides computing is not shared between threads.
  const env = { ...process.env, OMP_NUM_THREADS: '1' };
  const makeRest = async () => {
    for (const name of left) await run(python, [`${SCRIPTS}networks.py`, name, '--out', OUT], { env });
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, makeRest));
  return undefined;
}

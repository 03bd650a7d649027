import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

/* Runs once before all projects, which then share the files; only when the suite that reads them is about to run. */

const SUITE = 'test/nn/models/pytorch.test.ts';
const NETWORKS = ['resnet18', 'resnet50', 'densenet121', 'resnet50v2', 'resnet56-cifar10', 'resnet-scenes'];

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SCRIPTS = root('scripts/pytorch/');
const OUT = root('.cache/pytorch/');

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the networks are, or why there are none. */
    networks: { readonly folder: string } | { readonly missing: string };
  }
}

export default function makeNetworks({ vitest, provide }: TestProject): void {
  if (!vitest.state.getPaths().some((path) => path.endsWith(SUITE))) return;
  const missing = NETWORKS.every(isUpToDate) ? undefined : runScripts();
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
function runScripts(): string | undefined {
  const python = process.env.FMGCAM_PYTHON ?? '/usr/bin/python3';
  if (spawnSync(python, ['-c', 'import torch, torchvision']).status !== 0) {
    return `${python} has no PyTorch; install python3-torchvision, or set FMGCAM_PYTHON to a Python that has it`;
  }
  console.info(`making PyTorch's values in ${OUT}: a minute, once`);
  for (const name of NETWORKS) {
    const { status } = spawnSync(python, [`${SCRIPTS}networks.py`, name, '--out', OUT], { stdio: 'inherit' });
    if (status !== 0) throw new Error(`networks.py ${name} failed with status ${status}`);
  }
  return undefined;
}

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InputError } from '../src/errors.ts';
import { ROOT } from './paths.ts';
import type { Job, Processor } from './protocol.ts';
import { PYTHON } from './worker.ts';

/* Networks with seeded random weights, made once by PyTorch: the same state dict for all runtimes. */

const path = (relative: string) => fileURLToPath(new URL(relative, ROOT));
const WEIGHTS = path('.cache/pytorch/');
const EXPORTS = path('.cache/bench/');

/** @throws InputError when the files have to be made and there is no PyTorch to make them */
export function jobFor(network: string, threads: number, device: Processor = 'cpu'): Job {
  const job = {
    network,
    device,
    threads,
    safetensors: weights(network),
    pth: `${WEIGHTS}${network}.pth`,
    onnx: `${EXPORTS}${network}.onnx`,
    input: `${EXPORTS}${network}.input.f32`,
  };
  if (!isNewer(job.onnx, job.pth)) {
    mkdirSync(EXPORTS, { recursive: true });
    python('bench/export.py', network, job.pth, '--onnx', job.onnx, '--input', job.input);
  }
  return job;
}

/** The state dict of a network of scripts/pytorch/networks.py, in safetensors. */
export function weights(network: string): string {
  const file = `${WEIGHTS}${network}.safetensors`;
  if (!existsSync(file)) python('scripts/pytorch/networks.py', network, '--out', WEIGHTS);
  return file;
}

function isNewer(file: string, source: string): boolean {
  return existsSync(file) && statSync(file).mtimeMs > statSync(source).mtimeMs;
}

function python(script: string, ...args: string[]): void {
  console.error(`${script} ${args[0]}: once, some seconds`);
  const { status, error } = spawnSync(PYTHON, [path(script), ...args], { stdio: ['ignore', 2, 2], timeout: 600_000 });
  if (status !== 0) {
    throw new InputError(
      `${PYTHON} ${script} ${args[0]} failed (${error?.message ?? `status ${status}`}); it needs PyTorch with torchvision: install python3-torchvision, or set FMGCAM_PYTHON to a Python that has it`,
    );
  }
}

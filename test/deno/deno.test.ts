import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHOICES, expectResults, expectVariants, KERNELS } from '../support/smoke-check.ts';
import type { runKernels, runVariants } from '../support/smoke-kernels.ts';
import { DENO, LAVAPIPE, missing } from './installed.ts';

/* The built package in Deno, whose WebGPU is wgpu: another compiler of shaders than Dawn's. */

interface Output {
  readonly webgpu: Awaited<ReturnType<typeof runKernels>>;
  readonly cpu: Awaited<ReturnType<typeof runKernels>>;
  readonly variants: Awaited<ReturnType<typeof runVariants>>;
}

const local = (path: string) => fileURLToPath(new URL(path, import.meta.url));

describe.skipIf(missing !== undefined)(missing ? `Deno (skipped: ${missing})` : 'Deno', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fmgcam-deno-'));
  let output: Output;

  beforeAll(async () => {
    const script = join(folder, 'program.mjs');
    await build({
      entryPoints: [local('program.ts')],
      outfile: script,
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'es2022',
    });
    const run = promisify(execFile)(
      process.execPath,
      [DENO, 'run', '--unstable-webgpu', '--allow-all', '--no-config', script, JSON.stringify(CHOICES)],
      { env: { ...process.env, VK_ICD_FILENAMES: LAVAPIPE, NO_COLOR: '1' }, maxBuffer: 2 ** 28 },
    );
    output = JSON.parse((await run).stdout);
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it('computes the same with every kernel on both devices', () => {
    expect(Object.keys(output.webgpu.results)).toEqual(Object.keys(output.cpu.results));
    expectResults(output.webgpu.results, output.cpu.results);
    expect([output.webgpu.kernels, output.cpu.kernels]).toEqual([KERNELS, KERNELS]);
  });

  it('computes the same with every variant of the kernels', () => {
    // Deno does not offer them, whatever the driver has.
    expectVariants(output.variants, output.cpu.results, ['subgroups']);
  });
});

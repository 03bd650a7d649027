import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** Suites that compute: the same files run on every device and driver. */
const ON_DEVICES = [
  'test/kernels/*.test.ts',
  'test/autograd/**/*.test.ts',
  'test/nn/models/pytorch.test.ts',
  'test/cam/**/*.test.ts',
  'test/metrics/device/*.test.ts',
  'test/training/pytorch.test.ts',
];

/** What there is on WebGPU only. */
const ON_DRIVERS = 'test/kernels/drivers/*.test.ts';

/** The built package and the benchmark in a browser. */
const IN_BROWSER = ['test/browser/smoke.test.ts', 'test/browser/bench.test.ts'];

/** What takes modules for others has its own, which no suite before it has loaded. */
const MOCKING = readdirSync(`${import.meta.dirname}/test`, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.test.ts'))
  .map((path) => `test/${path}`)
  .filter((path) => readFileSync(`${import.meta.dirname}/${path}`, 'utf8').includes('vi.mock('));

/** Drivers that Debian installs; a machine without them runs the WebGPU suite once, on the driver that it has. */
const DRIVERS = {
  lavapipe: '/usr/share/vulkan/icd.d/lvp_icd.json',
  swiftshader: '/usr/lib/chromium/vk_swiftshader_icd.json',
};
const installed = Object.entries(DRIVERS).filter(([, manifest]) => existsSync(manifest));
if (process.env.CI && installed.length < Object.keys(DRIVERS).length) {
  throw new Error(`CI must have the drivers ${Object.values(DRIVERS).join(' and ')}`);
}

// Forks, since a driver is chosen by the environment of a process.
const shared = { pool: 'forks', testTimeout: 180_000, hookTimeout: 180_000 } as const;

/**
 * One process for many files, which halves the time of a device: nothing is compiled or loaded twice. A test that changes what
 * its process shares (the environment, the driver's options) changes it back.
 */
const project = (name: string, env: Record<string, string>, options = {}) => ({
  test: { ...shared, name, include: ON_DEVICES, isolate: false, env, ...options },
});

const onCpu = (kernels: string, precision = 'exact') => ({
  FMGCAM_TEST_DEVICE: 'cpu',
  FMGCAM_CPU_KERNELS: kernels,
  FMGCAM_PRECISION: precision,
});

/** Node 20 has relaxed SIMD behind a flag that later versions do not know. */
const relaxedSimd = Number.parseInt(process.versions.node, 10) < 21 ? ['--experimental-wasm-relaxed-simd'] : [];

export default defineConfig({
  test: {
    // Files start, read and wait for long: one at a time leaves half of two cores idle.
    maxWorkers: 2,
    reporters: ['default', './test/support/closing-line.ts'],
    globalSetup: ['scripts/build-wasm.mjs', 'test/support/make-networks.ts', 'test/support/build.ts'],
    projects: [
      { test: { ...shared, name: 'browser', include: IN_BROWSER } },
      { test: { ...shared, name: 'mocking', include: MOCKING } },
      project(
        'host',
        {},
        { include: ['test/**/*.test.ts'], exclude: [...ON_DEVICES, ON_DRIVERS, ...IN_BROWSER, ...MOCKING] },
      ),
      project('cpu', onCpu('wasm')),
      project('cpu-relaxed', onCpu('wasm-relaxed'), { execArgv: relaxedSimd }),
      project('cpu-typescript', onCpu('typescript')),
      // Without fused multiply-add, which rounds more.
      project('cpu-fast', onCpu('wasm', 'fast'), { include: ['test/nn/models/pytorch.test.ts'] }),
      ...(installed.length > 0 ? installed : [['webgpu', undefined] as const]).map(([name, manifest]) =>
        project(
          name,
          { FMGCAM_TEST_DEVICE: 'webgpu', ...(manifest && { VK_ICD_FILENAMES: manifest }) },
          {
            include: [...ON_DEVICES, ON_DRIVERS],
            // Thousands of passes of a network: four minutes there, half a minute on the other driver.
            ...(name === 'swiftshader' && { exclude: ['test/metrics/device/golden.test.ts'] }),
          },
        ),
      ),
    ],
  },
});

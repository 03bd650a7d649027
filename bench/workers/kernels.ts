import { readFileSync } from 'node:fs';
import { BUNDLES } from '../paths.ts';
import type { Convolutions } from '../protocol.ts';
import { describeDevice, importLibrary } from './library.ts';
import { convolution } from './our-convolution.ts';
import { type Action, serve, timeRuns } from './serve.ts';

/* Single convolutions, and the loop of multiply-adds that they are held against, in one process. */

/** Some milliseconds on any processor. */
const PEAK_ITERATIONS = 2_000_000;

const library = await importLibrary();
const device = await library.createDevice('cpu');
const fused = 'kernels' in device && device.kernels === 'wasm-relaxed';
const peak = await loadPeak(fused ? 'fma-relaxed' : 'fma');
const actions = new Map<string, Action>([['peak', async () => [peak.run(PEAK_ITERATIONS, 0.5, 1)]]]);

await serve({
  prepare: (shapes: Convolutions) => {
    for (const [name, shape] of Object.entries(shapes)) {
      const { one } = convolution(library, device, shape);
      actions.set(name, () => one(1));
    }
    return {
      about: describeDevice(device),
      peak: fused ? 'fused multiply-adds' : 'products and sums (no relaxed SIMD)',
      peakOperations: PEAK_ITERATIONS * peak.OPERATIONS.value,
    };
  },
  time: timeRuns((name) => actions.get(name)),
});

interface Peak {
  run(iterations: number, x: number, y: number): number;
  readonly OPERATIONS: WebAssembly.Global;
}

async function loadPeak(name: string): Promise<Peak> {
  const bytes = readFileSync(new URL(`${name}.wasm`, BUNDLES));
  const { instance } = await WebAssembly.instantiate(Uint8Array.from(bytes), { env: { abort: () => {} } });
  const { run, OPERATIONS } = instance.exports;
  if (typeof run !== 'function' || !(OPERATIONS instanceof WebAssembly.Global))
    throw new Error(`${name}.wasm is damaged`);
  return { run: (iterations, x, y) => Number(run(iterations, x, y)), OPERATIONS };
}

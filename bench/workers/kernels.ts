import { readFileSync } from 'node:fs';
import type { Convolution } from '../convolutions.ts';
import { padding } from '../convolutions.ts';
import { BUNDLES } from '../paths.ts';
import { describeDevice, importLibrary, type Library } from './library.ts';
import { type Action, serve, timeRuns } from './serve.ts';

/* Single convolutions, and the loop of multiply-adds that they are held against, in one process. */

/** Channels innermost, for images and for weights: what networks keep, so that nothing is copied. */
const IMAGE_ORDER = [0, 2, 3, 1];
const WEIGHT_ORDER = [2, 3, 1, 0];

/** Some milliseconds on any processor. */
const PEAK_ITERATIONS = 2_000_000;

const library = await importLibrary();
const device = await library.createDevice('cpu');
const fused = 'kernels' in device && device.kernels === 'wasm-relaxed';
const peak = await loadPeak(fused ? 'fma-relaxed' : 'fma');
const actions = new Map<string, Action>([['peak', async () => [peak.run(PEAK_ITERATIONS, 0.5, 1)]]]);

await serve({
  prepare: (shapes: Readonly<Record<string, Convolution>>) => {
    for (const [name, shape] of Object.entries(shapes)) actions.set(name, convolution(library, shape));
    return {
      about: describeDevice(device),
      peak: fused ? 'fused multiply-adds' : 'products and sums (no relaxed SIMD)',
      peakOperations: PEAK_ITERATIONS * peak.OPERATIONS.value,
    };
  },
  time: timeRuns((name) => actions.get(name)),
});

/** relu(conv(x) + bias), as layers call it. Reading one value waits for all. */
function convolution({ tensor, conv2d, slice, withScope }: Library, shape: Convolution): Action {
  const { channels, out, kernel, stride, size } = shape;
  const values = (count: number) => Float32Array.from({ length: count }, () => Math.random() - 0.5);
  const x = tensor(device, values(channels * size * size), [1, channels, size, size], { order: IMAGE_ORDER });
  const weightShape = [out, channels, kernel, kernel];
  const weight = tensor(device, values(out * channels * kernel ** 2), weightShape, {
    order: WEIGHT_ORDER,
    constant: true,
  });
  const bias = tensor(device, values(out), [out], { constant: true });
  return () =>
    withScope((scope) => {
      const y = conv2d(scope.enter(x), weight, { bias, stride, padding: padding(kernel), activation: 'relu' });
      return slice(y, [0, 0, 0, 0], [1, 1, 1, 1]).data();
    });
}

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

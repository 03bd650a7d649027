import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { CpuDevice, type Precision } from '../../src/kernels/cpu/device.ts';
import { Heap, type HeapBlock } from '../../src/kernels/cpu/heap.ts';
import {
  hasRelaxedSimd,
  type WasmKernel,
  type WasmKernels,
  type WasmModule,
} from '../../src/kernels/cpu/wasm/kernels.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';

// As the command does; Node 20 has relaxed SIMD behind this flag.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');

const BUILDS = ['wasm', 'wasm-relaxed'] as const;
const PRECISIONS: readonly Precision[] = ['exact', 'fast'];

/** A device with WebAssembly kernels, and one with the TypeScript kernels to compare it with. */
export interface DevicePair {
  readonly device: CpuDevice;
  readonly oracle: CpuDevice;
}

/** A suite for each build and precision, on one thread. */
export function describeBuilds(name: string, suite: (pair: () => DevicePair, precision: Precision) => void): void {
  const builds = BUILDS.flatMap((kernels) => PRECISIONS.map((precision) => ({ kernels, precision })));
  describe.each(builds)(`${name} of $kernels, $precision,`, (options) => {
    let pair: DevicePair | undefined;
    beforeAll(() => {
      pair = { device: new CpuDevice({ ...options, threads: 1 }), oracle: new CpuDevice({ kernels: 'typescript' }) };
    });
    afterAll(() => {
      expect(pair?.device.memory().live, 'bytes left on the device').toBe(0);
      pair?.device.destroy();
      pair?.oracle.destroy();
    });
    suite(() => {
      if (!pair) throw new Error('the devices are opened before the tests of their suite run');
      return pair;
    }, options.precision);
  });
}

/** Irregular, so that sums do not cancel. */
export const wave = (shape: Shape, phase: number) =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i * i + phase));

/** What sums over `wave` would be without cancelling. */
export const magnitudes: typeof wave = (shape, phase) => wave(shape, phase).map(Math.abs);

const norm = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));

/**
 * The L2 distance of sums to the `expected` ones, against the size of what is added (`scale`): sums that nearly cancel
 * have few digits.
 */
export function expectSums(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  scale: ArrayLike<number>,
  tolerance: number,
  what = 'sums',
): void {
  const distance = norm(Array.from(actual, (value, i) => value - (expected[i] ?? Number.NaN)));
  expect(distance, `${what}: distance`).toBeLessThanOrEqual(tolerance * norm(scale));
}

export const pairOf = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

/** Floats that are overwritten; filling all of the scratch memory would take most of the time of the tests. */
const GARBAGE = 1 << 12;

/**
 * The same kernels, which do the units of a job one by one and in reverse when `inPieces` says so, with garbage in the
 * scratch memory each time: results must not depend on which thread does what.
 */
export function cutUp(module: WasmModule, inPieces: () => boolean): WasmModule {
  const cut =
    (kernel: WasmKernel): WasmKernel =>
    (job, begin, end, scratch) => {
      if (!inPieces()) return kernel(job, begin, end, scratch);
      for (let unit = end - 1; unit >= begin; unit--) {
        new Float32Array(module.memory.buffer, scratch, GARBAGE).fill(Number.NaN);
        kernel(job, unit, unit + 1, scratch);
      }
    };
  const kernels = Object.fromEntries(Object.entries(module.kernels).map(([name, kernel]) => [name, cut(kernel)]));
  return { ...module, kernels: kernels as WasmKernels };
}

const GUARD_BYTES = 64;

/** From now on, each block of a heap is followed by guard words, which are looked at when the block is released. */
export function guardHeaps(): void {
  const { allocate, release } = Heap.prototype;
  const guards = new WeakMap<HeapBlock, number>();
  vi.spyOn(Heap.prototype, 'allocate').mockImplementation(function (this: Heap, bytes) {
    const block = allocate.call(this, bytes + GUARD_BYTES);
    const guard = block.start + Math.ceil(bytes / 4) * 4;
    guards.set(block, guard);
    new Uint8Array(this.buffer, guard, GUARD_BYTES).fill(0xa5);
    return block;
  });
  vi.spyOn(Heap.prototype, 'release').mockImplementation(function (this: Heap, block) {
    const guard = guards.get(block);
    if (guard) {
      const intact = new Uint8Array(this.buffer, guard, GUARD_BYTES).every((byte) => byte === 0xa5);
      expect(intact, 'something was written behind a block').toBe(true);
    }
    release.call(this, block);
  });
}

import './relaxed-simd.ts';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { CpuDevice, type Precision } from '../../src/kernels/cpu/device.ts';
import { Heap, type HeapBlock } from '../../src/kernels/cpu/heap.ts';
import type { WasmKernel, WasmKernels, WasmModule } from '../../src/kernels/cpu/wasm/kernels.ts';

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

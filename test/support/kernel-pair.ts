import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { Heap } from '../../src/kernels/cpu/heap.ts';
import { type Job, type WasmOperand, Workspace } from '../../src/kernels/cpu/wasm/call.ts';
import { instantiate, type KernelName, SCRATCH_BYTES, type WasmKernels } from '../../src/kernels/cpu/wasm/kernels.ts';
import type { HostOperand } from '../../src/kernels/device.ts';
import type { OpDefinition } from '../../src/kernels/op.ts';
import { denseLayout, type Layout, type TensorSpec } from '../../src/tensor/layout.ts';
import type { HostData } from '../../src/tensor/memory.ts';
import { at, sizeOf } from '../../src/tensor/shape.ts';
import { wave as waveOf } from './numbers.ts';
import './relaxed-simd.ts';

/* The WebAssembly and the TypeScript kernel of an op, side by side and without a device around them. */

/** An input of an op: its layout in a block of data. */
export interface Input extends Layout {
  readonly data: HostData;
}

/** Where a job's units are split: fractions of their number. */
export type Cuts = readonly number[];
export const anyCuts: fc.Arbitrary<Cuts> = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 });

const GUARD = 16;
const GUARD_VALUE = 7;

export class KernelPair {
  readonly #heap = new Heap();
  readonly #wasm: WasmKernels;

  constructor(kernels: 'wasm' | 'wasm-relaxed') {
    this.#wasm = instantiate(kernels, this.#heap.memory).kernels;
  }

  /**
   * The results of both kernels. Fails when that of the WebAssembly kernel depends on how its units are split, or when it
   * writes beside its result. A property over calls that WebAssembly leaves to TypeScript tries others instead.
   */
  compute<Attributes>(
    definition: OpDefinition<Attributes>,
    inputs: readonly Input[],
    attributes: Attributes,
    cuts: Cuts = [],
  ): { readonly wasm: HostData[]; readonly typescript: HostData[] } {
    const operands = inputs.map((input): HostOperand => ({ ...input, dtype: dtypeOf(input.data) }));
    const specs = definition.outputs(operands, attributes).map(
      ({ shape, order, dtype = 'float32' }): TensorSpec => ({
        ...denseLayout(shape, order),
        dtype,
      }),
    );
    const outputs = specs.map((spec): HostOperand => ({ ...spec, data: emptyData(spec) }));
    definition.host({ inputs: operands, outputs, attributes });
    const wasm = this.#run(definition, operands, specs, attributes, []);
    if (cuts.length > 0) {
      const parts = this.#run(definition, operands, specs, attributes, cuts);
      for (const [i, part] of parts.entries()) expectSame(part, at(wasm, i), 'the result of split units');
    }
    return { wasm, typescript: outputs.map(({ data }) => data) };
  }

  #run<Attributes>(
    definition: OpDefinition<Attributes>,
    inputs: readonly HostOperand[],
    outputs: readonly TensorSpec[],
    attributes: Attributes,
    cuts: Cuts,
  ): HostData[] {
    const workspace = new Workspace(this.#heap);
    try {
      const place = (data: HostData) => {
        const address = workspace.allocate(data.byteLength);
        this.#view(address, data).set(data);
        return address;
      };
      const open = ({ shape, strides, offset, dtype }: TensorSpec, address: number): WasmOperand => ({
        ...{ shape, strides, offset, dtype },
        address,
      });
      const given = inputs.map((input) => open(input, place(input.data)));
      const guarded = outputs.map((spec) => {
        const data = emptyData(spec, 2 * GUARD).fill(GUARD_VALUE);
        return { data, address: place(data), operand: spec };
      });
      const scratch = workspace.allocate(SCRATCH_BYTES);
      const run = (name: KernelName, job: Job, units: number) => {
        const fields = workspace.write(Int32Array.from(Object.values(job)));
        const ends = [...cuts.map((cut) => Math.floor(cut * units)), units].sort((a, b) => a - b);
        // The last part first, each with scratch memory that another part has left behind.
        for (const [i, end] of [...ends.entries()].reverse()) {
          this.#view(scratch, new Float32Array(SCRATCH_BYTES / 4)).fill(Number.NaN);
          this.#wasm[name](fields, ends[i - 1] ?? 0, end, scratch);
        }
      };
      const done = definition.wasm?.({
        inputs: given,
        outputs: guarded.map(({ operand, address }) => open(operand, address + 4 * GUARD)),
        attributes,
        run,
        workspace,
        exact: true,
      });
      fc.pre(done === true);
      return guarded.map(({ data, address }) => {
        const all = this.#view(address, data).slice();
        const guards = [...all.slice(0, GUARD), ...all.slice(-GUARD)];
        expect(guards, 'the memory beside the result').toEqual(new Array(2 * GUARD).fill(GUARD_VALUE));
        return all.slice(GUARD, -GUARD);
      });
    } finally {
      workspace.release();
    }
  }

  /** The heap at an address, as much and of the type as `like`. */
  #view(address: number, like: HostData): HostData {
    return like instanceof Int32Array
      ? new Int32Array(this.#heap.buffer, address, like.length)
      : new Float32Array(this.#heap.buffer, address, like.length);
  }
}

function dtypeOf(data: HostData) {
  return data instanceof Int32Array ? 'int32' : 'float32';
}

function emptyData({ shape, dtype }: TensorSpec, more = 0): HostData {
  const size = sizeOf(shape) + more;
  return dtype === 'int32' ? new Int32Array(size) : new Float32Array(size);
}

/** Fails unless all values are the same; 0 and -0 are not, and one NaN is as good as another. */
export function expectSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what = 'the result'): void {
  expect(actual.length, what).toBe(expected.length);
  // Faster than a comparison of arrays by vitest.
  for (let i = 0; i < expected.length; i++) {
    if (!Object.is(actual[i], expected[i])) expect(actual[i], `${what}, element ${i}`).toBe(expected[i]);
  }
}

/** A suite for each WebAssembly build. */
export function describeKernelPairs(name: string, suite: (pair: KernelPair) => void): void {
  describe.each(['wasm', 'wasm-relaxed'] as const)(`${name}, %s`, (kernels) => suite(new KernelPair(kernels)));
}

/** Irregular values between -1 and 1, so that sums do not cancel. */
export function wave(length: number, phase = 0): Float32Array {
  return waveOf([length], phase);
}

/** Layouts of a shape: its axes in any order in memory, with gaps, and stretched (stride 0) where `stretched` says so. */
export function anyLayout(shape: readonly number[], stretched: readonly boolean[] = []): fc.Arbitrary<Layout> {
  const axes = shape.map((_, axis) => axis);
  return fc
    .record({
      order: fc.oneof(fc.constant(axes), fc.shuffledSubarray(axes, { minLength: axes.length })),
      gap: fc.constantFrom(1, 1, 2),
      offset: fc.constantFrom(0, 0, 3),
    })
    .map(({ order, gap, offset }) => {
      const sizes = shape.map((size, axis) => (stretched[axis] ? 1 : size));
      const { strides } = denseLayout(sizes, order);
      return { shape, strides: strides.map((stride, axis) => (stretched[axis] ? 0 : gap * stride)), offset };
    });
}

/** A layout with values for it. */
export function filled(layout: Layout, values: (length: number) => HostData): Input {
  const reach = layout.shape.reduce((sum, size, axis) => sum + (size - 1) * at(layout.strides, axis), layout.offset);
  return { ...layout, data: values(reach + 1) };
}

import { DeviceError } from '../../errors.ts';
import { denseLayout, isDense, type Layout, physicalOrder, type TensorSpec } from '../../tensor/layout.ts';
import { type Memory, Storage } from '../../tensor/memory.ts';
import { at, sizeOf } from '../../tensor/shape.ts';
import { copyKernel } from '../copy/kernel.ts';
import type { Device, Kernel, Operand, Way } from '../device.ts';
import { combineKernel } from '../reduce/combine.ts';
import { FLOAT, type WgslProgram } from './program.ts';
import type { ShaderTarget } from './tiles.ts';

/*
 * A shader may see only so many bytes of a buffer at once (maxStorageBufferBindingSize). A call with larger operands is
 * halved along an axis, in one of the ways that its kernel names, until all parts of operands fit; then each part is
 * dispatched with the ranges of the buffers where its operands lie.
 */

/** WebGPU's default limit: where a range of a buffer may begin, in bytes. */
export const ALIGNMENT = 256;
const ALIGNED_ELEMENTS = ALIGNMENT / FLOAT;

/** A call of more parts would take minutes; a way to halve it that gains next to nothing would never end. */
const MOST_PARTS = 4096;

/** A kernel and what it is run on. */
export interface Call<Attributes> {
  readonly kernel: Kernel<Attributes>;
  readonly inputs: readonly Operand[];
  readonly outputs: readonly Operand[];
  readonly attributes: Attributes;
}

/** What runs the parts of a call. */
export interface Runner {
  readonly target: ShaderTarget;
  /** The most bytes of a buffer that a shader may see, a multiple of `ALIGNMENT`. */
  readonly bindingBytes: number;
  /** For what is in between. */
  readonly memory: Memory;
  /** @param ranged whether only the ranges where the operands lie are bound, which the shaders know no offset to */
  dispatch(
    programs: readonly WgslProgram[],
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    ranged: boolean,
  ): void;
  readonly run: Device['run'];
}

/**
 * Runs a call, in parts where it has operands, or would need scratch memory, beyond what can be bound.
 * @throws DeviceError, before anything is dispatched, when there is no way to divide it
 */
export function runCall<Attributes>(call: Call<Attributes>, runner: Runner): void {
  const { kernel, inputs, outputs, attributes } = call;
  const { target, bindingBytes } = runner;
  const fits = ({ storage }: Operand) => storage.bytes <= bindingBytes;
  if (inputs.every(fits) && outputs.every(fits)) {
    const programs = kernel.webgpu({ inputs, outputs, attributes, target });
    if (programs.every((program) => scratchFits(program, bindingBytes))) {
      runner.dispatch(programs, inputs, outputs, false);
      return;
    }
  }
  if (kernel.steps) {
    kernel.steps({ inputs, outputs, attributes }, runner.run);
    return;
  }
  const parts = new Parts(call, runner);
  parts.run();
}

function scratchFits({ bindings }: WgslProgram, bytes: number): boolean {
  for (const { operand } of bindings) {
    if ('scratch' in operand && operand.scratch.bytes > bytes) return false;
    if ('packed' in operand && operand.packed.bytes > bytes) return false;
  }
  return true;
}

export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** The bytes of its storage that an operand spans, from one multiple of `ALIGNMENT` to another. */
export function rangeOf({ shape, strides, offset }: Layout): ByteRange {
  const last = shape.reduce((sum, size, axis) => sum + Math.max(0, size - 1) * at(strides, axis), offset);
  const from = Math.floor(offset / ALIGNED_ELEMENTS) * ALIGNMENT;
  return { from, to: (Math.floor(last / ALIGNED_ELEMENTS) + 1) * ALIGNMENT };
}

const spanOf = (layout: Layout) => {
  const { from, to } = rangeOf(layout);
  return to - from;
};

/** What of an axis a part has. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

function narrow<T extends Layout>(operand: T, axis: number | undefined, { start, end }: Stretch): T {
  if (axis === undefined) return operand;
  const shape = operand.shape.map((size, k) => (k === axis ? end - start : size));
  return { ...operand, shape, offset: operand.offset + start * at(operand.strides, axis) };
}

/** The operands of a call or a part of it. */
interface Operands<T extends TensorSpec> {
  readonly inputs: readonly T[];
  readonly outputs: readonly T[];
}

/** The halves of a call: `outputs` has a result of each half where `way` combines them. */
function halves<T extends TensorSpec>(
  { inputs, outputs }: Operands<T>,
  { way, cut, size }: Cut<unknown>,
  results: readonly T[] = [],
): [Operands<T>, Operands<T>] {
  const part = (stretch: Stretch, result: T | undefined) => ({
    inputs: inputs.map((input, i) => narrow(input, way.inputs[i], stretch)),
    outputs: result ? [result] : outputs.map((output, i) => narrow(output, way.outputs[i], stretch)),
  });
  return [part({ start: 0, end: cut }, results[0]), part({ start: cut, end: size }, results[1])];
}

/** The result of a half, which lies as that of the whole does. */
function resultLike({ shape, strides, offset, dtype }: TensorSpec): TensorSpec {
  return { ...denseLayout(shape, physicalOrder({ shape, strides, offset })), dtype };
}

/** Where an axis of `size` is cut. */
interface Cut<Attributes> {
  readonly way: Way<Attributes>;
  readonly size: number;
  readonly cut: number;
}

/** What becomes of a call: programs, or two calls. */
type Plan<Attributes> =
  | { readonly programs: readonly WgslProgram[] }
  | (Cut<Attributes> & { readonly front: Plan<Attributes>; readonly behind: Plan<Attributes> });

/** A call that is made of parts. */
class Parts<Attributes> {
  readonly #kernel: Kernel<Attributes>;
  readonly #runner: Runner;
  readonly #operands: Operands<Operand>;
  readonly #attributes: Attributes;
  /** Whether the parts of each operand, inputs first, have to be dense, and at the start of what is bound. */
  readonly #dense: readonly boolean[];
  #count = 0;

  constructor({ kernel, inputs, outputs, attributes }: Call<Attributes>, runner: Runner) {
    this.#kernel = kernel;
    this.#runner = runner;
    this.#operands = { inputs: inputs.map(plain), outputs: outputs.map(plain) };
    this.#attributes = attributes;
    this.#dense = [...inputs, ...outputs].map(
      (operand) => kernel.dense === true && isDense(operand, physicalOrder(operand)),
    );
  }

  run(): void {
    this.#execute(this.#plan(this.#operands, this.#attributes), this.#operands);
  }

  #plan(operands: Operands<TensorSpec>, attributes: Attributes): Plan<Attributes> {
    const { bindingBytes, target } = this.#runner;
    const fits = this.#excess(operands) === 0;
    const programs = fits ? this.#programs(operands, attributes, target) : undefined;
    if (programs) {
      this.#count += 1;
      return { programs };
    }
    const found = this.#count < MOST_PARTS ? this.#bestCut(operands, attributes) : undefined;
    if (found) {
      const [y] = operands.outputs;
      const results = found.way.combine && y ? [resultLike(y), resultLike(y)] : [];
      const [front, behind] = halves(operands, found, results);
      const inner = found.way.attributes ?? attributes;
      return { ...found, front: this.#plan(front, inner), behind: this.#plan(behind, inner) };
    }
    // What needs no scratch memory is slower, and better than nothing.
    const frugal = { ...target, algorithm: 'direct', splits: 1 } as const;
    const last = fits ? this.#programs(operands, attributes, frugal) : undefined;
    if (last) return { programs: last };
    const [named] = this.#kernel.webgpu({ ...operands, attributes, target });
    const largest = Math.max(...[...operands.inputs, ...operands.outputs].map(spanOf));
    const what = fits ? 'scratch memory' : `an operand of ${largest} bytes`;
    throw new DeviceError(
      `${named?.key ?? 'a kernel'}: ${what} is beyond the ${bindingBytes} bytes that this adapter lets a kernel see at once, and the call cannot be divided further; use a smaller image or batch, or the device cpu`,
    );
  }

  /** The programs of a part; undefined when they need too much scratch memory. */
  #programs(operands: Operands<TensorSpec>, attributes: Attributes, target: ShaderTarget) {
    const seen = (list: readonly TensorSpec[], first: number) => list.map((o, i) => this.#seen(o, first + i).spec);
    const inputs = seen(operands.inputs, 0);
    const outputs = seen(operands.outputs, inputs.length);
    const programs = this.#kernel.webgpu({ inputs, outputs, attributes, target });
    return programs.every((program) => scratchFits(program, this.#runner.bindingBytes)) ? programs : undefined;
  }

  /** An operand as the shaders see it: from the start of its range, or in a copy. */
  #seen({ shape, strides, offset, dtype }: TensorSpec, index: number): { spec: TensorSpec; copied: boolean } {
    const seen = { shape, strides, offset: offset % ALIGNED_ELEMENTS, dtype };
    const order = physicalOrder(seen);
    if (!this.#dense[index] || isDense(seen, order)) return { spec: seen, copied: false };
    return { spec: { ...denseLayout(shape, order), dtype }, copied: true };
  }

  /** Bytes of the operands beyond what can be bound. */
  #excess({ inputs, outputs }: Operands<TensorSpec>): number {
    const { bindingBytes } = this.#runner;
    return [...inputs, ...outputs].reduce((sum, o) => sum + Math.max(0, spanOf(o) - bindingBytes), 0);
  }

  /** What is left to do after a cut: bytes that are too many, then copies, then all bytes. */
  #cost(front: Operands<TensorSpec>, behind: Operands<TensorSpec>): [number, number, number] {
    const copies = [...behind.inputs, ...behind.outputs].filter((operand, i) => this.#seen(operand, i).copied).length;
    const bytes = [...front.inputs, ...front.outputs].reduce((sum, operand) => sum + spanOf(operand), 0);
    return [this.#excess(front), copies, bytes];
  }

  /** The cut that leaves the least to do; undefined where none makes the parts smaller than the whole. */
  #bestCut(operands: Operands<TensorSpec>, attributes: Attributes): Cut<Attributes> | undefined {
    const [excess, , bytes] = this.#cost(operands, operands);
    let best: { readonly cut: Cut<Attributes>; readonly cost: readonly number[] } | undefined;
    for (const way of this.#kernel.ways?.({ ...operands, attributes }) ?? []) {
      const cut = this.#middle(operands, way);
      if (!cut) continue;
      const cost = this.#cost(...halves(operands, cut));
      const gains = excess > 0 ? cost[0] < excess : cost[2] < bytes;
      if (gains && (!best || isBelow(cost, best.cost))) best = { cut, cost };
    }
    return best?.cut;
  }

  /** Half of the axis of a way, where both halves can be bound as they lie if there is such a place. */
  #middle({ inputs, outputs }: Operands<TensorSpec>, way: Way<Attributes>): Cut<Attributes> | undefined {
    const axes = [...inputs.map((_, i) => way.inputs[i]), ...way.outputs];
    const divided = [...inputs, ...outputs].flatMap((operand, i) => {
      const axis = axes[i];
      if (axis === undefined) return [];
      return [{ size: at(operand.shape, axis), stride: at(operand.strides, axis), dense: this.#dense[i] }];
    });
    const [first] = divided;
    if (!first) return undefined;
    const { size } = first;
    const { unit = 1 } = way;
    let step = unit;
    while (divided.some(({ stride, dense }) => dense && (step * stride) % ALIGNED_ELEMENTS > 0)) step *= 2;
    for (const multiple of [step, unit]) {
      const cut = Math.ceil(size / 2 / multiple) * multiple;
      if (cut < size) return { way, size, cut };
    }
    return undefined;
  }

  #execute(plan: Plan<Attributes>, operands: Operands<Operand>): void {
    if ('programs' in plan) {
      this.#dispatch(plan.programs, operands);
      return;
    }
    const { combine } = plan.way;
    const [y] = operands.outputs;
    if (!combine || !y) {
      const [front, behind] = halves(operands, plan);
      this.#execute(plan.front, front);
      this.#execute(plan.behind, behind);
      return;
    }
    const results: Operand[] = [];
    try {
      for (const _ of [plan.front, plan.behind]) {
        const storage = new Storage(this.#runner.memory, FLOAT * sizeOf(y.shape));
        results.push({ ...resultLike(y), storage });
      }
      const [front, behind] = halves(operands, plan, results);
      this.#execute(plan.front, front);
      this.#execute(plan.behind, behind);
      this.#runner.run(combineKernel, results, [y], combine);
    } finally {
      for (const { storage } of results) storage.release();
    }
  }

  /** Runs a part, on copies of what would not be dense at the start of what is bound. */
  #dispatch(programs: readonly WgslProgram[], { inputs, outputs }: Operands<Operand>): void {
    const { dispatch, memory, run } = this.#runner;
    const copies: Storage[] = [];
    const place = (operand: Operand, index: number): Operand => {
      const { spec, copied } = this.#seen(operand, index);
      if (!copied) return operand;
      const storage = new Storage(memory, FLOAT * sizeOf(spec.shape));
      copies.push(storage);
      return { ...spec, storage };
    };
    const moved = (from: readonly Operand[], to: readonly Operand[]) => {
      for (const [i, source] of from.entries()) {
        const target = at(to, i);
        if (source.storage !== target.storage) run(copyKernel, [source], [target], undefined);
      }
    };
    try {
      const sources = inputs.map((input, i) => place(input, i));
      const results = outputs.map((output, i) => place(output, inputs.length + i));
      moved(inputs, sources);
      dispatch(programs, sources, results, true);
      moved(results, outputs);
    } finally {
      for (const storage of copies) storage.release();
    }
  }
}

/** Tensors are operands too, and have more to them than can be spread. */
function plain({ shape, strides, offset, dtype, storage }: Operand): Operand {
  return { shape, strides, offset, dtype, storage };
}

function isBelow(a: readonly number[], b: readonly number[]): boolean {
  const first = a.findIndex((value, i) => value !== b[i]);
  return first >= 0 && at(a, first) < at(b, first);
}

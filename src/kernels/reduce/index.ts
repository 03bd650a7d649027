import { UsageError } from '../../errors.ts';
import { physicalOrder, type TensorSpec } from '../../tensor/layout.ts';
import { tidy } from '../../tensor/scope.ts';
import { at, formatShape, normaliseAxes, type Shape, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { addressingUniforms, type IterationSpace, iterate } from '../core/iteration.ts';
import { otherAxes } from '../core/ways.ts';
import type { HostOperand } from '../device.ts';
import { applySingle, type OpDefinition, type OutputSpec } from '../op.ts';
import { reshape } from '../view/index.ts';
import { linearGrid, type Uniform, WORKGROUP } from '../webgpu/program.ts';
import { collapsedShape, keptSpace, type Runs, reducedSpace, runsOf } from './loops.ts';
import { ranksAbove } from './order.ts';
import { OPERANDS, serialReduction, treeReduction } from './reduce.wgsl.ts';
import { reduceWasm } from './wasm.ts';

export type ReduceFunction = 'sum' | 'mean' | 'max';

export interface ReduceAttributes {
  readonly fn: ReduceFunction;
  /** Counted from the front, ascending. */
  readonly axes: readonly number[];
  /** Whether the reduced axes stay, with size 1. */
  readonly keepDims: boolean;
  /** What a mean divides by, so that those of parts add up to that of all: the number of elements when left out. */
  readonly divisor?: number;
  /** The shader on WebGPU; by the sizes when left out. Tests ask for either. */
  readonly shader?: 'serial' | 'tree';
}

/** y = the sum, the mean or the maximum of x over some axes. */
export const reduceDefinition: OpDefinition<ReduceAttributes> = {
  name: 'reduce',

  outputs: ([x], { axes, keepDims }) => (x ? [reducedOutput(x, axes, keepDims)] : []),

  host({ inputs: [x], outputs: [y], attributes: { fn, axes, divisor: whole } }) {
    if (!x || !y) return;
    const reduced = reducedSpace(x, axes);
    const runs = runsOf(reduced);
    const combine = fn === 'max' ? maximumOf : sumOf;
    const divisor = fn === 'mean' ? (whole ?? reduced.count) : 1;
    iterate(keptSpace([y], x, axes), (to, from) => {
      y.data[to] = combine(x.data, from, runs) / divisor;
    });
  },

  wasm({ inputs: [x], outputs: [y], attributes: { fn, axes, divisor }, ...engine }) {
    if (!x || !y || divisor !== undefined) return false;
    return reduceWasm(fn === 'max' ? 'reduceMax' : 'reduceSum', x, y, { axes, mean: fn === 'mean' }, engine);
  },

  webgpu({ inputs: [x], outputs: [y], attributes: { fn, axes, shader, divisor: whole } }) {
    if (!x || !y) return [];
    const kept = keptSpace([y], x, axes);
    const reduced = reducedSpace(x, axes);
    const tree = shader ? shader === 'tree' : gainsFromTree(kept, reduced);
    const combination = fn === 'max' ? 'max' : 'sum';
    const divisor: Uniform[] = fn === 'max' ? [] : [['divisor', 'f32', fn === 'mean' ? (whole ?? reduced.count) : 1]];
    return [
      {
        key: `reduce/${combination}/${tree ? 'tree' : 'serial'}/${kept.sizes.length}/${reduced.sizes.length}`,
        code: () => (tree ? treeReduction : serialReduction)(combination, kept, reduced),
        bindings: [
          { name: 'x', type: 'f32', operand: { input: 0 } },
          { name: 'y', type: 'f32', operand: { output: 0 } },
        ],
        uniforms: [
          ['count', 'u32', kept.count],
          ...addressingUniforms(kept, OPERANDS),
          ['reduced_count', 'u32', reduced.count],
          ...reduced.sizes.map((size, loop): Uniform => [`reduced_size${loop}`, 'u32', size]),
          ...at(reduced.strides, 0).map((stride, loop): Uniform => [`reduced_stride${loop}`, 'u32', stride]),
          ...divisor,
        ],
        workgroups: linearGrid(tree ? kept.count * WORKGROUP : kept.count),
      },
    ];
  },

  ways({ inputs, outputs, attributes }) {
    const { fn, axes, divisor = elementsAlong(inputs, axes) } = attributes;
    const combine = fn === 'max' ? 'max' : 'sum';
    const inner: ReduceAttributes = fn === 'mean' ? { ...attributes, divisor } : attributes;
    return [
      ...otherAxes(inputs, outputs, axes),
      ...axes.map((axis) => ({ inputs: [axis], outputs: [undefined], combine, attributes: inner }) as const),
    ];
  },
};

function elementsAlong([x]: readonly TensorSpec[], axes: readonly number[]): number {
  return sizeOf(axes.map((axis) => x?.shape[axis] ?? 1));
}

/** A workgroup for each result pays when a thread for each would leave a GPU idle and have long to go. */
function gainsFromTree(kept: IterationSpace, reduced: IterationSpace): boolean {
  return kept.count <= 1024 && reduced.count >= 1024;
}

/** What remains of `x` when `axes` are reduced, in memory in the order of `x`. */
export function reducedOutput(x: TensorSpec, axes: readonly number[], keepDims: boolean): OutputSpec {
  const order = physicalOrder(x);
  if (keepDims) return { shape: collapsedShape(x.shape, axes), order };
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  return {
    shape: kept.map((axis) => at(x.shape, axis)),
    order: order.filter((axis) => kept.includes(axis)).map((axis) => kept.indexOf(axis)),
  };
}

// Host loops index typed arrays directly: in `at`, which meets arrays of every kind, they would be five times slower.

function sumOf(data: HostOperand['data'], from: number, { starts, length, stride }: Runs): number {
  let sum = 0;
  for (const start of starts) {
    let address = from + start;
    for (let n = 0; n < length; n++, address += stride) sum += data[address] ?? 0;
  }
  return sum;
}

function maximumOf(data: HostOperand['data'], from: number, { starts, length, stride }: Runs): number {
  let maximum = at(data, from);
  for (const start of starts) {
    let address = from + start;
    for (let n = 0; n < length; n++, address += stride) {
      const value = data[address] ?? 0;
      if (ranksAbove(value, maximum)) maximum = value;
    }
  }
  return maximum;
}

function reduce(fn: ReduceFunction, x: Tensor, axes: readonly number[] | undefined, keepDims: boolean): Tensor {
  const normalised = axes ? normaliseAxes(axes, x.rank) : x.shape.map((_, axis) => axis);
  if (fn !== 'sum' && normalised.some((axis) => x.shape[axis] === 0)) {
    throw new UsageError(`${fn}: shape ${formatShape(x.shape)} has no elements along axes ${formatShape(normalised)}`);
  }
  return applySingle(reduceDefinition, [x], { fn, axes: normalised, keepDims });
}

/**
 * The sum over some axes, over all when `axes` is left out.
 * @param keepDims whether the reduced axes stay in the shape, with size 1
 */
export function sum(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return reduce('sum', x, axes, keepDims);
}

/** The mean; axes as in `sum`. */
export function mean(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return reduce('mean', x, axes, keepDims);
}

/** The maximum, NaN if there is a NaN (`torch.amax`); axes as in `sum`. */
export function max(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return reduce('max', x, axes, keepDims);
}

/**
 * Undoes broadcasting in gradients: the sum over the axes that were stretched or put in front.
 * @param x [K, ...s], the axis K always there
 * @param shape without the axis K; it broadcasts to s
 * @returns [K, ...shape]; an alias of `x` where nothing was broadcast
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const added = x.rank - 1 - shape.length;
  const axes = x.shape.flatMap((size, axis) => {
    const own = axis - 1 - added;
    const broadcast = own < 0 ? axis > 0 : shape[own] === 1 && size !== 1;
    return broadcast ? [axis] : [];
  });
  if (axes.length === 0) return x.alias();
  return tidy([x], (x) => reshape(sum(x, axes, true), [at(x.shape, 0), ...shape]));
}

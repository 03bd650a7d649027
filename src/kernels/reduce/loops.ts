import type { Layout } from '../../tensor/layout.ts';
import { at, type Shape, sizeOf } from '../../tensor/shape.ts';
import { type IterationSpace, iterate, iterationSpace } from '../core/iteration.ts';

/* The loops of ops that work along some axes of a tensor: reduce, argmax, topk, softmax. */

/** The shape with size 1 on the given axes. */
export function collapsedShape(shape: Shape, axes: readonly number[]): number[] {
  return shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
}

/** The part of a layout at index 0 of the given axes. */
export function collapse(layout: Layout, axes: readonly number[]): Layout {
  const { shape, strides, offset } = layout;
  return { shape: collapsedShape(shape, axes), strides, offset };
}

/** The layout with size 1 on the given axes, whether it has these axes already or was made without them. */
function restoreAxes(layout: Layout, rank: number, axes: readonly number[]): Layout {
  if (layout.shape.length === rank) return collapse(layout, axes);
  const { shape, strides, offset } = layout;
  const dropped = Array.from({ length: rank }, (_, axis) => axes.includes(axis));
  let next = 0;
  const source = dropped.map((drop) => (drop ? undefined : next++));
  return {
    shape: source.map((axis) => (axis === undefined ? 1 : at(shape, axis))),
    strides: source.map((axis) => (axis === undefined ? 0 : at(strides, axis))),
    offset,
  };
}

/** The loops over what remains of `outputs` and `x` (in this order of operands) when `axes` are collapsed. */
export function keptSpace(outputs: readonly Layout[], x: Layout, axes: readonly number[]): IterationSpace {
  return iterationSpace([...outputs.map((y) => restoreAxes(y, x.shape.length, axes)), collapse(x, axes)]);
}

/** The loops over the elements of `x` along `axes`; addresses are relative to the first of them. */
export function reducedSpace(x: Layout, axes: readonly number[]): IterationSpace {
  const others = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  return iterationSpace([{ ...collapse(x, others), offset: 0 }]);
}

/** The same elements as runs of evenly spaced ones, for host loops that are worth being fast. */
export interface Runs {
  /** The address of the first element of each run. */
  readonly starts: Int32Array;
  readonly length: number;
  readonly stride: number;
}

export function runsOf({ sizes, strides, offsets }: IterationSpace): Runs {
  const last = sizes.length - 1;
  const outer = sizes.slice(0, last);
  const starts = new Int32Array(sizeOf(outer));
  let run = 0;
  iterate({ sizes: outer, strides, offsets, count: starts.length }, (address) => {
    starts[run++] = address;
  });
  return { starts, length: at(sizes, last), stride: at(at(strides, 0), last) };
}

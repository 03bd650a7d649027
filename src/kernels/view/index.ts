import { UsageError } from '../../errors.ts';
import { expandLayout, type Layout, reshapeLayout, type TensorSpec } from '../../tensor/layout.ts';
import {
  at,
  broadcastShapes,
  formatShape,
  normaliseAxis,
  requireShape,
  type Shape,
  sameShape,
  sizeOf,
} from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { applyView, type ViewDefinition } from '../op.ts';

/* Ops that move nothing: the result looks at the same storage with other strides. */

export interface ReshapeAttributes {
  readonly shape: Shape;
}

export const reshapeDefinition: ViewDefinition<ReshapeAttributes> = {
  name: 'reshape',
  view: (x, { shape }) => reshapeLayout(x, shape),
};

/** The same elements in row-major order under another shape; one size may be -1, which is then worked out. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = sizeOf(shape.filter((size) => size !== -1));
  const resolved = shape.map((size) => (size === -1 ? x.size / known : size));
  if (
    shape.filter((size) => size === -1).length > 1 ||
    sizeOf(resolved) !== x.size ||
    !resolved.every(Number.isInteger)
  ) {
    throw new UsageError(
      `reshape: ${formatShape(x.shape)} has ${x.size} elements and does not fit into ${formatShape(shape)}`,
    );
  }
  requireShape(resolved, 'reshape');
  return applyView(reshapeDefinition, x, { shape: resolved });
}

export interface TransposeAttributes {
  readonly permutation: readonly number[];
}

export const transposeDefinition: ViewDefinition<TransposeAttributes> = {
  name: 'transpose',
  view: (x, { permutation }) => ({
    shape: permutation.map((axis) => at(x.shape, axis)),
    strides: permutation.map((axis) => at(x.strides, axis)),
    offset: x.offset,
  }),
};

/** Axis i of the result is axis `permutation[i]` of `x` (PyTorch's `permute`); the axes reversed when left out. */
export function transpose(x: Tensor, permutation: readonly number[] = x.shape.map((_, i) => x.rank - 1 - i)): Tensor {
  const axes = permutation.map((axis) => normaliseAxis(axis, x.rank));
  if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
    throw new UsageError(
      `transpose: ${formatShape(permutation)} is not a permutation of the ${x.rank} axes of ${formatShape(x.shape)}`,
    );
  }
  return applyView(transposeDefinition, x, { permutation: axes });
}

export interface SliceAttributes {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly steps: readonly number[];
}

/** The part of a layout with `starts <= index < ends` in steps, for each axis. */
export function sliceLayout(x: Layout, { starts, ends, steps }: SliceAttributes): Layout {
  return {
    shape: x.shape.map((_, axis) => Math.max(0, Math.ceil((at(ends, axis) - at(starts, axis)) / at(steps, axis)))),
    strides: x.strides.map((stride, axis) => stride * at(steps, axis)),
    offset: x.offset + x.strides.reduce((sum, stride, axis) => sum + stride * at(starts, axis), 0),
  };
}

export const sliceDefinition: ViewDefinition<SliceAttributes> = {
  name: 'slice',
  view: sliceLayout,
};

/** x[starts[0]:ends[0]:steps[0], ...]: one entry for each axis; steps are positive, negative positions count from the end. */
export function slice(
  x: Tensor,
  starts: readonly number[],
  ends: readonly number[],
  steps: readonly number[] = x.shape.map(() => 1),
): Tensor {
  for (const [name, list] of Object.entries({ starts, ends, steps })) {
    if (list.length !== x.rank)
      throw new UsageError(
        `slice: ${name} ${formatShape(list)} needs one entry for each axis of ${formatShape(x.shape)}`,
      );
  }
  if (![...starts, ...ends].every(Number.isInteger)) {
    throw new UsageError(`slice: starts ${formatShape(starts)} and ends ${formatShape(ends)} must be whole numbers`);
  }
  if (steps.some((step) => !Number.isInteger(step) || step < 1))
    throw new UsageError(`slice: steps ${formatShape(steps)} must be 1 or more`);
  const clamp = (position: number, size: number) =>
    Math.min(size, Math.max(0, position < 0 ? position + size : position));
  return applyView(sliceDefinition, x, {
    starts: starts.map((start, axis) => clamp(start, at(x.shape, axis))),
    ends: ends.map((end, axis) => clamp(end, at(x.shape, axis))),
    steps,
  });
}

/** x[..., index, ...] with the axis dropped. */
export function select(x: Tensor, axis: number, index: number): Tensor {
  const a = normaliseAxis(axis, x.rank);
  const i = normaliseAxis(index, at(x.shape, a), `index along axis ${axis}`);
  const part = slice(
    x,
    x.shape.map((_, k) => (k === a ? i : 0)),
    x.shape.map((size, k) => (k === a ? i + 1 : size)),
  );
  try {
    return reshape(
      part,
      x.shape.filter((_, k) => k !== a),
    );
  } finally {
    part.dispose();
  }
}

export interface ExpandAttributes {
  readonly shape: Shape;
}

export const expandDefinition: ViewDefinition<ExpandAttributes> = {
  name: 'expand',
  view: (x: TensorSpec, { shape }) => expandLayout(x, shape),
};

/** `x` stretched to `shape`: axes are aligned at the end, sizes of 1 and missing axes repeat without taking memory. */
export function expand(x: Tensor, shape: Shape): Tensor {
  requireShape(shape, 'expand');
  if (!sameShape(broadcastShapes(x.shape, shape), shape)) {
    throw new UsageError(`expand: ${formatShape(x.shape)} cannot be stretched to ${formatShape(shape)}`);
  }
  return applyView(expandDefinition, x, { shape });
}

import { at, type Shape, sizeOf } from './shape.ts';

export type DType = 'float32' | 'int32';

/**
 * Where the elements of a tensor lie in its storage: element (i0, i1, ...) is at `offset + sum of i_d * strides[d]`.
 * Views (transposed, sliced, expanded with stride 0) are layouts over the same storage.
 */
export interface Layout {
  readonly shape: Shape;
  /** In elements, one for each axis. */
  readonly strides: readonly number[];
  /** In elements. */
  readonly offset: number;
}

export interface TensorSpec extends Layout {
  readonly dtype: DType;
}

/** The axes of a dense tensor from the outermost in memory to the innermost. */
export type AxisOrder = readonly number[];

/** Activations of convolutional networks: batch, height, width, channel. */
export const CHANNELS_LAST: AxisOrder = [0, 2, 3, 1];

export function rowMajorOrder(rank: number): number[] {
  return Array.from({ length: rank }, (_, axis) => axis);
}

/** Strides of a dense tensor whose axes follow each other in memory in this order. */
export function denseStrides(shape: Shape, order: AxisOrder = rowMajorOrder(shape.length)): number[] {
  const strides = new Array<number>(shape.length).fill(0);
  let stride = 1;
  for (const axis of [...order].reverse()) {
    strides[axis] = stride;
    stride *= at(shape, axis);
  }
  return strides;
}

export function denseLayout(shape: Shape, order?: AxisOrder): Layout {
  return { shape, strides: denseStrides(shape, order), offset: 0 };
}

/** Whether the elements lie in this order without gaps, from the start of the storage; axes of size 1 do not count. */
export function isDense(layout: Layout, order: AxisOrder = rowMajorOrder(layout.shape.length)): boolean {
  if (layout.offset !== 0) return false;
  const dense = denseStrides(layout.shape, order);
  return layout.shape.every((size, axis) => size === 1 || layout.strides[axis] === dense[axis]);
}

/**
 * The order of axes that a new tensor computed from this one should have: that of its strides, the largest outermost.
 * Axes of size 1 and stretched axes (stride 0) have no place of their own in memory; they come first.
 */
export function physicalOrder(layout: Layout): number[] {
  const reach = layout.shape.map(
    (size, axis) => (size === 1 ? 0 : at(layout.strides, axis)) || Number.MAX_SAFE_INTEGER,
  );
  return rowMajorOrder(layout.shape.length).sort((a, b) => at(reach, b) - at(reach, a) || a - b);
}

/** The same storage seen with another shape, or undefined when that needs a copy. */
export function reshapeLayout(layout: Layout, shape: Shape): Layout | undefined {
  if (sizeOf(shape) === 0) return denseLayout(shape);
  // Runs of old axes are matched with runs of new axes of the same size; each run must be contiguous in itself.
  const strides = new Array<number>(shape.length).fill(0);
  const old = layout.shape
    .map((size, axis) => ({ size, stride: at(layout.strides, axis) }))
    .filter(({ size }) => size !== 1);
  let next = 0;
  let axis = 0;
  while (axis < shape.length) {
    if (shape[axis] === 1) {
      axis += 1;
      continue;
    }
    const firstNew = axis;
    const firstOld = next;
    let newSize = at(shape, axis++);
    let oldSize = at(old, next++).size;
    while (newSize !== oldSize) {
      if (newSize < oldSize) newSize *= at(shape, axis++);
      else oldSize *= at(old, next++).size;
    }
    for (let i = firstOld; i + 1 < next; i++) {
      const inner = at(old, i + 1);
      if (at(old, i).stride !== inner.stride * inner.size) return undefined;
    }
    let stride = at(old, next - 1).stride;
    for (let i = axis - 1; i >= firstNew; i--) {
      strides[i] = stride;
      stride *= at(shape, i);
    }
  }
  return { shape, strides, offset: layout.offset };
}

/** This layout seen as `shape`, with stride 0 along the axes that are stretched; the caller has checked that it broadcasts. */
export function expandLayout(layout: Layout, shape: Shape): Layout {
  const missing = shape.length - layout.shape.length;
  const strides = shape.map((size, axis) => {
    const own = axis - missing;
    return own < 0 || (layout.shape[own] === 1 && size !== 1) ? 0 : at(layout.strides, own);
  });
  return { shape, strides, offset: layout.offset };
}

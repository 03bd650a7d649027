import { UsageError } from '../errors.ts';

/** Sizes of the axes, PyTorch's order (NCHW for images). */
export type Shape = readonly number[];

/** @throws UsageError unless every size is a whole number of at least 0 */
export function requireShape(shape: Shape, what: string): void {
  if (shape.some((size) => !Number.isInteger(size) || size < 0))
    throw new UsageError(`${what}: ${formatShape(shape)} is not a shape`);
}

/** The number of elements of a tensor of this shape; 1 for a scalar. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** `[1, 3, 224, 224]`, for messages. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** The axis counted from the front: -1 is the last one. */
export function normaliseAxis(axis: number, rank: number, what = 'axis'): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new UsageError(`${what} ${axis} is out of range for a tensor with ${rank} axes; use ${-rank} to ${rank - 1}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** Several axes counted from the front, ascending, without repetition. */
export function normaliseAxes(axes: readonly number[], rank: number): number[] {
  const positive = axes.map((axis) => normaliseAxis(axis, rank));
  if (new Set(positive).size !== positive.length) {
    throw new UsageError(`axes ${formatShape(axes)} name one axis twice`);
  }
  return positive.sort((a, b) => a - b);
}

/** The shape that all operands broadcast to: axes are aligned at the end, and a size of 1 stretches (as NumPy does). */
export function broadcastShapes(...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => {
    let result = 1;
    for (const shape of shapes) {
      const size = shape[axis - rank + shape.length] ?? 1;
      if (size !== 1 && result !== 1 && size !== result) {
        throw new UsageError(
          `shapes ${shapes.map(formatShape).join(' and ')} do not broadcast: axis ${axis - rank} has sizes ${result} and ${size}`,
        );
      }
      if (size !== 1) result = size;
    }
    return result;
  });
}

/** Element `index` of a list that the caller knows to be long enough. */
export function at<T>(list: ArrayLike<T>, index: number): T {
  const value = list[index];
  if (value === undefined) throw new RangeError(`index ${index} is outside a list of ${list.length}`);
  return value;
}

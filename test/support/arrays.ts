import fc from 'fast-check';
import { tensor } from '../../src/kernels/create.ts';
import type { Device } from '../../src/kernels/device.ts';
import { denseStrides } from '../../src/tensor/layout.ts';
import type { Scope } from '../../src/tensor/scope.ts';
import { at, type Shape, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** Values in row-major order, and an order of the axes in memory. */
export interface ArrayCase {
  readonly shape: number[];
  readonly values: number[];
  readonly order: number[];
}

/** Values of any shape: multiples of 1/8, which float32 adds exactly, and few enough of them that there are ties. */
export function arrayOfShape(shape: number[]): fc.Arbitrary<ArrayCase> {
  const size = sizeOf(shape);
  const axes = shape.map((_, axis) => axis);
  return fc.record({
    shape: fc.constant(shape),
    values: fc.array(
      fc.integer({ min: -40, max: 40 }).map((n) => n / 8),
      { minLength: size, maxLength: size },
    ),
    order: fc.shuffledSubarray(axes, { minLength: axes.length }),
  });
}

/** Arrays with 1 to 4 axes of 1 to 5 elements. */
export const anyArray: fc.Arbitrary<ArrayCase> = fc
  .array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
  .chain(arrayOfShape);

/** An array together with one of its axes. */
export const arrayAndAxis: fc.Arbitrary<[ArrayCase, number]> = anyArray.chain((array) =>
  fc.tuple(fc.constant(array), fc.nat(array.shape.length - 1)),
);

export function upload(device: Device, scope: Scope, { values, shape, order }: ArrayCase): Tensor {
  return tensor(device, values, shape, { order, scope });
}

/** The row-major positions of the elements that differ along `axes` only, group by group in row-major order of the other axes. */
export function groupsAlong(shape: Shape, axes: readonly number[]): number[][] {
  const strides = denseStrides(shape);
  const groups = new Map<string, number[]>();
  for (let i = 0; i < sizeOf(shape); i++) {
    const index = shape.map((size, axis) => Math.floor(i / at(strides, axis)) % size);
    const key = index.filter((_, axis) => !axes.includes(axis)).join();
    const group = groups.get(key) ?? [];
    group.push(i);
    groups.set(key, group);
  }
  return [...groups.values()];
}

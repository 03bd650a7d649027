import { at } from '../../tensor/shape.ts';

/** Of a shape or strides: what belongs to the rows and the columns of matrices. */
export function lastTwo(list: readonly number[]): [number, number] {
  return [at(list, list.length - 2), at(list, list.length - 1)];
}

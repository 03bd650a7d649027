import { at } from '../tensor/shape.ts';

/** Four significant digits. */
export function formatNumber(value: number): string {
  const rounded = Number(value.toPrecision(4));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : String(rounded);
}

export interface Summary {
  readonly min: number;
  readonly max: number;
  /** ||x||_2 */
  readonly norm: number;
}

export function summaryOf(values: Float32Array): Summary {
  let [min, max, squares] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    squares += value * value;
  }
  return { min, max, norm: Math.sqrt(squares) };
}

/** The position of the largest value by some measure; of equal ones the first. */
export function argLargest(values: ArrayLike<number>, measure = (value: number) => value): number {
  let [best, most] = [0, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    const size = measure(at(values, i));
    if (size > most) [best, most] = [i, size];
  }
  return best;
}

/** The positions of the `count` largest values, the largest first. */
export function largest(values: ArrayLike<number>, count: number): number[] {
  return Array.from(values, (_, i) => i)
    .sort((a, b) => at(values, b) - at(values, a) || a - b)
    .slice(0, count);
}

/** Row `index` of values that are rows of `length`. */
export function rowOf(values: Float32Array, index: number, length: number): Float32Array {
  return values.subarray(index * length, (index + 1) * length);
}

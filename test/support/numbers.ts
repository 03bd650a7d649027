import { expect } from 'vitest';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';

/** Irregular, so that sums do not cancel. */
export const wave = (shape: Shape, phase: number) =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i * i + phase));

/** What sums over `wave` would be without cancelling. */
export const magnitudes: typeof wave = (shape, phase) => wave(shape, phase).map(Math.abs);

/** ||actual - expected|| / ||expected||, and the plain distance where nothing is expected. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let distance = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] ?? Number.NaN;
    distance += ((actual[i] ?? Number.NaN) - e) ** 2;
    norm += e ** 2;
  }
  return norm === 0 ? Math.sqrt(distance) : Math.sqrt(distance / norm);
}

/** Fails unless all values are there and within a relative L2 distance. */
export function expectClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what = '',
): void {
  expect(actual.length, `${what}: number of elements`).toBe(expected.length);
  expect(relativeError(actual, expected), `${what}: relative L2 error`).toBeLessThanOrEqual(tolerance);
}

/** Final maps are compared absolutely. */
const MAP_TOLERANCE = 1e-4;

/** Fails unless all values are there and each is within 1e-4. */
export function expectMap(actual: ArrayLike<number>, expected: ArrayLike<number>, what = ''): void {
  expect(actual.length, `${what}: number of elements`).toBe(expected.length);
  const worst = Array.from(expected).reduce((most, e, i) => Math.max(most, Math.abs((actual[i] ?? Number.NaN) - e)), 0);
  expect(worst, `${what}: largest difference`).toBeLessThanOrEqual(MAP_TOLERANCE);
}

const norm = (values: ArrayLike<number>) =>
  Math.sqrt(Array.from(values).reduce((sum, value) => sum + value * value, 0));

/**
 * The L2 distance of sums to the `expected` ones, against the size of what is added (`scale`): sums that nearly cancel
 * have few digits.
 */
export function expectSums(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  scale: ArrayLike<number>,
  tolerance: number,
  what = 'sums',
): void {
  const distance = norm(Array.from(actual, (value, i) => value - (expected[i] ?? Number.NaN)));
  expect(distance, `${what}: distance`).toBeLessThanOrEqual(tolerance * norm(scale));
}

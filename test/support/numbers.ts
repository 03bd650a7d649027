import { expect } from 'vitest';

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

import { at } from './tensor/shape.ts';

/** ||actual - expected|| / ||expected||, and the plain distance where nothing is expected. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let distance = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    distance += (at(actual, i) - at(expected, i)) ** 2;
    norm += at(expected, i) ** 2;
  }
  return norm === 0 ? Math.sqrt(distance) : Math.sqrt(distance / norm);
}

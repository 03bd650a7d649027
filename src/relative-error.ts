/** ||actual - expected|| / ||expected||, and the plain distance where nothing is expected; NaN where a value is missing or none. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN;
  let distance = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    const value = expected[i] ?? Number.NaN;
    distance += ((actual[i] ?? Number.NaN) - value) ** 2;
    norm += value ** 2;
  }
  return norm === 0 ? Math.sqrt(distance) : Math.sqrt(distance / norm);
}

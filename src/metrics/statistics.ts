import { at } from '../tensor/shape.ts';

/* Closed forms on the host, in float64. A value that is not defined is null, never NaN. */

/** The area under a curve over [0,1] by the trapezoidal rule; its points are equally far apart. */
export function areaUnderCurve(scores: ArrayLike<number>): number {
  const last = scores.length - 1;
  let sum = (at(scores, 0) + at(scores, last)) / 2;
  for (let i = 1; i < last; i++) sum += at(scores, i);
  return sum / last;
}

/** Pearson's correlation coefficient; null where one of the two does not vary, or has a NaN. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [da, db] = [at(a, i) - meanA, at(b, i) - meanB];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  }
  if (!(varies(a) && varies(b))) return null;
  const r = ab / Math.sqrt(aa * bb);
  return Number.isFinite(r) ? Math.min(1, Math.max(-1, r)) : null;
}

export function meanOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += at(values, i);
  return sum / values.length;
}

/** Whether there are two different values: the deviations from a rounded mean need not be 0 where all are equal. */
function varies(values: ArrayLike<number>): boolean {
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return true;
  return false;
}

/** The value at a share, 0 to 1, of the way along a list, between its points linearly: of a sorted list, a quantile. */
export function interpolate(list: ArrayLike<number>, share: number): number {
  const position = share * (list.length - 1);
  const below = Math.floor(position);
  const low = at(list, below);
  return low + (position - below) * (at(list, Math.min(below + 1, list.length - 1)) - low);
}

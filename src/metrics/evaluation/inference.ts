import { random32 } from '../../random.ts';
import { interpolate, meanOf } from '../statistics.ts';

/* Statistics of paired differences. Seeded: the same values give the same answer. */

export interface Interval {
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2000;

/**
 * The confidence interval of a mean by the percentile bootstrap (Efron 1979): the quantiles of the means of 2000 samples
 * drawn with replacement. Null for fewer than two values.
 */
export function bootstrapInterval(values: ArrayLike<number>, seed: number, level = 0.95): Interval | null {
  const n = values.length;
  if (n < 2) return null;
  const random = random32(seed);
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += values[Math.floor((random() / 2 ** 32) * n)] as number;
    return sum / n;
  }).sort();
  return { low: interpolate(means, (1 - level) / 2), high: interpolate(means, (1 + level) / 2) };
}

const PERMUTATIONS = 10_000;
/** 2^13 sign patterns are fewer than the random ones. */
const MOST_EXACT = 13;

/**
 * The two-sided paired permutation test (Fisher's randomisation test): if the two methods were interchangeable, each
 * difference could as well have had the other sign. p is the share of sign patterns whose mean is at least as far from 0 as
 * the one that was found: of all patterns up to 13 pairs, of 10,000 random ones (and the found one) above. Null without pairs.
 */
export function permutationTest(differences: ArrayLike<number>, seed: number): number | null {
  const n = differences.length;
  if (n === 0) return null;
  const found = Math.abs(meanOf(differences) * n);
  // Sums of the same numbers in another order differ by rounding.
  const threshold = found * (1 - 1e-12);
  if (n <= MOST_EXACT) {
    let asExtreme = 0;
    for (let pattern = 0; pattern < 2 ** n; pattern++)
      if (signedSum(differences, () => pattern) >= threshold) asExtreme++;
    return asExtreme / 2 ** n;
  }
  const random = random32(seed);
  let asExtreme = 1;
  for (let i = 0; i < PERMUTATIONS; i++) if (signedSum(differences, random) >= threshold) asExtreme++;
  return asExtreme / (PERMUTATIONS + 1);
}

/** |sum| with the signs flipped where a bit is set; `bits` is asked for 32 of them at a time. */
function signedSum(values: ArrayLike<number>, bits: () => number): number {
  let sum = 0;
  let word = 0;
  for (let i = 0; i < values.length; i++) {
    if (i % 32 === 0) word = bits();
    sum += word & 1 ? -(values[i] as number) : (values[i] as number);
    word >>>= 1;
  }
  return Math.abs(sum);
}

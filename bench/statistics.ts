import { UsageError } from '../src/errors.ts';

/** What is reported of many times of the same work. */
export interface Summary {
  readonly runs: number;
  /** What the machine can do: everything that other processes do to a time makes it longer. */
  readonly min: number;
  readonly median: number;
  /** Longest over shortest. */
  readonly spread: number;
  /** The middle run is so far above the best one that the machine was busy with something else: measure again. */
  readonly noisy: boolean;
}

/** The median may lie so far above the minimum, as a fraction of it. */
const QUIET = 0.15;

export function summarise(times: readonly number[]): Summary {
  const sorted = [...times].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new UsageError('there are no times to summarise');
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] ?? min) + (sorted[Math.ceil(middle)] ?? max)) / 2;
  return { runs: sorted.length, min, median, spread: max / min, noisy: median > min * (1 + QUIET) };
}

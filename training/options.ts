import { UsageError } from '../src/index.ts';

/** The value of `--name` as a whole number of at least 1. */
export function count(value: string, name: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new UsageError(`--${name} ${value}: give a whole number from 1`);
  return number;
}

/** The value of `--name` as a number from 0 to 1. */
export function fraction(value: string, name: string): number {
  const number = Number(value);
  if (value === '' || !(number >= 0 && number <= 1))
    throw new UsageError(`--${name} ${value}: give a number from 0 to 1`);
  return number;
}

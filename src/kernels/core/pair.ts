import { UsageError } from '../../errors.ts';
import { formatShape } from '../../tensor/shape.ts';

/** What an op on images wants for each of its two axes. */
export type Pair = readonly [height: number, width: number];

/** One number stands for both axes. Throws a UsageError unless both are integers of at least `minimum`. */
export function pair(value: number | Pair, name: string, minimum: number): Pair {
  const both: Pair = typeof value === 'number' ? [value, value] : value;
  if (both.length !== 2 || !both.every((n) => Number.isInteger(n) && n >= minimum)) {
    const given = typeof value === 'number' ? value : formatShape(value);
    throw new UsageError(`${name} ${given} must be an integer of at least ${minimum}, or two of them: [height, width]`);
  }
  return both;
}

import { UsageError } from '../errors.ts';

/** @throws UsageError unless the option is a whole number of at least 1 */
export function requireCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new UsageError(`${name} ${value} is out of range; use a whole number of 1 or more`);
}

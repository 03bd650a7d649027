import { InputError, UsageError } from '../errors.ts';
import { formatShape, sizeOf } from '../tensor/shape.ts';
import type { NanPolicy } from './settings.ts';

/** A map on the host, row by row from the top left. */
export interface SaliencyMap {
  readonly data: ArrayLike<number>;
  readonly height: number;
  readonly width: number;
}

/** @throws UsageError for sizes that do not fit; InputError for infinite values, and for NaN where the policy refuses it */
export function requireMap({ data, height, width }: SaliencyMap, nan: NanPolicy = 'refuse'): void {
  if (![height, width].every((size) => Number.isInteger(size) && size >= 1) || data.length !== sizeOf([height, width]))
    throw new UsageError(`a map of ${data.length} values does not have the shape ${formatShape([height, width])}`);
  for (let i = 0; i < data.length; i++) {
    const value = data[i] as number;
    if (Number.isFinite(value) || (Number.isNaN(value) && nan === 'tie')) continue;
    throw new InputError(
      `the map has the value ${value}; metrics want finite ones${Number.isNaN(value) ? ', or the NaN policy "tie"' : ''}`,
    );
  }
}

export function hasNan({ data }: SaliencyMap): boolean {
  return Array.from(data).some(Number.isNaN);
}

/** Least and largest value. */
export function rangeOf({ data }: SaliencyMap): { least: number; most: number } {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < data.length; i++) {
    least = Math.min(least, data[i] as number);
    most = Math.max(most, data[i] as number);
  }
  return { least, most };
}

/** Stretched to [0,1]; a constant map is left as it is, and so is one with NaN. */
export function minMax(map: SaliencyMap): Float32Array {
  const { least, most } = rangeOf(map);
  const values = Float32Array.from(map.data);
  return most > least ? values.map((value) => (value - least) / (most - least)) : values;
}

/**
 * How concentrated a map is (Gomez et al. 2022): largest over mean value, after stretching to [0,1]. From 1 upwards; the
 * number of cells for a map with a single one. Null for a constant map and for one with NaN.
 */
export function sparsity(map: SaliencyMap): number | null {
  requireMap(map, 'tie');
  const { least, most } = rangeOf(map);
  if (!(most > least)) return null;
  let sum = 0;
  for (let i = 0; i < map.data.length; i++) sum += (map.data[i] as number) - least;
  return (most - least) / (sum / map.data.length);
}

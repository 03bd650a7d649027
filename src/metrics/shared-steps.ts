import { random32 } from '../random.ts';
import { at } from '../tensor/shape.ts';
import type { RankedMap } from './ranking.ts';

/** Where the picture after a step comes from. */
export interface Source {
  readonly map: number;
  /** Among the steps that the map makes itself. */
  readonly position: number;
}

export interface SharedSteps {
  /** For each map, the steps whose pictures it makes itself. */
  readonly made: readonly (readonly number[])[];
  /** For each map, the source of the picture after step 1, 2, ... */
  readonly sources: readonly (readonly Source[])[];
}

/**
 * Finds the pictures that several maps have in common: after a step, a picture depends only on which cells have been taken,
 * not on their order. The last step, which takes all cells, is left out.
 */
export function shareSteps(maps: readonly RankedMap[]): SharedSteps {
  const known = new Map<string, Source>();
  const made: number[][] = maps.map(() => []);
  const sources = maps.map((ranked, map) =>
    namesOfSets(ranked).map((name, i) => {
      const found = known.get(name);
      if (found) return found;
      const own = at(made, map);
      const source = { map, position: own.push(i + 1) - 1 };
      known.set(name, source);
      return source;
    }),
  );
  return { made, sources };
}

/** For each step but the last: 64 bits that name the set of cells that have been taken (Zobrist 1970). */
function namesOfSets({ height, width, steps, stepOf }: RankedMap): string[] {
  const random = random32(height * width);
  const bits = new Uint32Array(2 * (steps + 1));
  for (const step of stepOf) for (const half of [0, 1]) bits[2 * step + half] = at(bits, 2 * step + half) ^ random();
  for (let i = 2; i < bits.length; i++) bits[i] = at(bits, i) ^ at(bits, i - 2);
  return Array.from({ length: steps - 1 }, (_, i) =>
    [height, width, ...bits.subarray(2 * (i + 1), 2 * (i + 2))].join(),
  );
}

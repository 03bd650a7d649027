import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rank } from '../../src/metrics/ranking.ts';
import { shareSteps } from '../../src/metrics/shared-steps.ts';
import { at } from '../../src/tensor/shape.ts';

describe('shareSteps', () => {
  /** Few values, so that maps agree often. */
  const maps = fc.array(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 6 }), {
    minLength: 1,
    maxLength: 5,
  });

  it('makes the picture of each set of cells once, and finds it again', () => {
    fc.assert(
      fc.property(maps, fc.integer({ min: 1, max: 6 }), (values, steps) => {
        const ranked = values.map((data) => rank({ data, height: 2, width: 3 }, steps, 'first'));
        const taken = (map: number, step: number) =>
          Array.from(at(ranked, map).stepOf, (first) => (first <= step ? 1 : 0)).join('');
        const { made, sources } = shareSteps(ranked);
        const sets = made.flatMap((own, map) => own.map((step) => taken(map, step)));
        expect(new Set(sets).size).toBe(sets.length);
        for (const [map, ofMap] of sources.entries()) {
          expect(ofMap).toHaveLength(at(ranked, map).steps - 1);
          for (const [i, source] of ofMap.entries())
            expect(taken(source.map, at(at(made, source.map), source.position))).toBe(taken(map, i + 1));
        }
      }),
    );
  });

  it('tells maps of other shapes apart', () => {
    const data = [3, 2, 1, 0, 0, 0];
    const ranked = [rank({ data, height: 2, width: 3 }, 6, 'first'), rank({ data, height: 3, width: 2 }, 6, 'first')];
    expect(shareSteps(ranked).made.map(({ length }) => length)).toEqual([5, 5]);
  });
});

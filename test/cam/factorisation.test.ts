import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstComponent } from '../../src/cam/activation/principal.ts';
import { nonNegativeFactors } from '../../src/cam/factorisation/nmf.ts';
import { tensor } from '../../src/kernels/index.ts';
import { withScope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, uniform } from '../support/random-model.ts';

const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

/** Rows of a row-major matrix. */
function rows(values: ArrayLike<number>, count: number): number[][] {
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => Array.from(values).slice(i * size, (i + 1) * size));
}

const multiply = (a: readonly number[][], b: readonly number[][]) =>
  a.map((row) => at(b, 0).map((_, j) => total(row.map((value, k) => value * at(at(b, k), j)))));
const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((value, i) => value - at(b, i)));

describeDevice('the first principal component', (device) => {
  const component = (values: ArrayLike<number>, shape: readonly number[], centre: boolean) =>
    withScope(async (scope) =>
      Array.from(
        await (await firstComponent(tensor(device(), Float32Array.from(values), shape, { scope }), { centre })).data(),
      ),
    );

  it('of channels that are multiples of one map is that map', async () => {
    const map = [3, 1, 0, 2, 0, 0];
    const channels = [2, -1, 0.5, 3];
    const values = channels.flatMap((scale) => map.map((value) => value * scale));
    const expected = map.map((value) => value * Math.hypot(...channels));
    expectClose(await component(values, [1, 4, 2, 3], false), expected, TOLERANCE);
    // The mean pixel is taken out; channels add up to a positive multiple of the map, so that it keeps its sign.
    const mean = total(expected) / expected.length;
    expectClose(
      await component(values, [1, 4, 2, 3], true),
      expected.map((value) => value - mean),
      TOLERANCE,
    );
    const opposite = values.map((value) => -value);
    expectClose(
      await component(opposite, [1, 4, 2, 3], false),
      expected.map((value) => -value),
      TOLERANCE,
    );
  });

  it('is an eigenvector, and no direction has more variance, with more channels or more pixels', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 1e6 }),
        fc.constantFrom([7, 2, 2], [3, 4, 3], [1, 3, 3], [48, 7, 8]),
        async (seed, shape) => {
          const [C = 1, I = 1, J = 1] = shape;
          const X = rows(randomArray(seed, [C, I * J]), C);
          const map = await component(X.flat(), [1, C, I, J], false);
          // X^T X u = s^2 u for the map s u.
          const transposed = at(X, 0).map((_, pixel) => X.map((channel) => at(channel, pixel)));
          const image = multiply(
            multiply(transposed, X),
            map.map((value) => [value]),
          ).flat();
          const square = total(map.map((value) => value * value));
          expectClose(
            image,
            map.map((value) => value * square),
            100 * TOLERANCE,
          );
          const random = uniform(seed);
          for (let trial = 0; trial < 10; trial++) {
            const direction = X.map(() => random());
            const projected = multiply([direction], X).flat();
            expect(Math.hypot(...projected) / Math.hypot(...direction)).toBeLessThanOrEqual(
              Math.sqrt(square) * (1 + TOLERANCE),
            );
          }
        },
      ),
      { numRuns: 5 },
    );
  });

  it('of nothing is nothing, and images do not meet', async () => {
    expect(await component(new Array(12).fill(0), [1, 3, 2, 2], true)).toEqual([0, 0, 0, 0]);
    const [first, second] = [randomArray(1, [12]), randomArray(2, [12])];
    const both = await component([...first, ...second], [2, 3, 2, 2], true);
    const single = [...(await component(first, [1, 3, 2, 2], true)), ...(await component(second, [1, 3, 2, 2], true))];
    expectClose(both, single, TOLERANCE);
  });
});

describe('non-negative factors', () => {
  const [ROWS, COLUMNS, PARTS] = [12, 9, 3];
  const positive = (seed: number, count: number, size: number) =>
    rows(
      randomArray(seed, [count, size]).map((value) => Math.max(value, 0)),
      count,
    );

  it('of a product of such factors come back to it, ordered, without negative values, and never move away', () => {
    const X = multiply(positive(1, ROWS, PARTS), positive(2, PARTS, COLUMNS)).flat();
    const rounds = nonNegativeFactors({ data: X, rows: ROWS, columns: COLUMNS }, PARTS);
    let before = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 500; round++) {
      const { W, H } = rounds.next().value;
      const error = distance(multiply(rows(W, ROWS), rows(H, PARTS)).flat(), X);
      expect(error).toBeLessThanOrEqual(before + 1e-9);
      before = error;
      expect(Math.min(...W, ...H)).toBeGreaterThanOrEqual(0);
      for (const row of rows(H, PARTS)) expect(Math.hypot(...row)).toBeCloseTo(1, 9);
      const strengths = Array.from({ length: PARTS }, (_, k) => Math.hypot(...rows(W, ROWS).map((row) => at(row, k))));
      expect(strengths).toEqual(strengths.toSorted((a, b) => b - a));
    }
    expect(before / Math.hypot(...X)).toBeLessThan(1e-2);
  });

  it('find parts that do not overlap', () => {
    // Three groups of pixels, each with channels of its own.
    const W = Array.from({ length: ROWS }, (_, i) => [0, 1, 2].map((k) => (i % 3 === k ? 1 + i : 0)));
    const H = [0, 1, 2].map((k) => Array.from({ length: COLUMNS }, (_, j) => (Math.floor(j / 3) === k ? 1 + j : 0)));
    const X = multiply(W, H).flat();
    const rounds = nonNegativeFactors({ data: X, rows: ROWS, columns: COLUMNS }, PARTS);
    let found = rounds.next().value;
    for (let round = 0; round < 100; round++) found = rounds.next().value;
    // The last group is strongest, and so comes first.
    for (const [i, row] of rows(found.W, ROWS).entries()) {
      const kept = row.map((value, k) => (2 - (i % 3) === k ? 0 : value));
      expect(Math.hypot(...kept)).toBeLessThan(1e-6 * Math.hypot(...row));
    }
  });
});

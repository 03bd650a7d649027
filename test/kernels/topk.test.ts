import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/create.ts';
import { topk } from '../../src/kernels/topk/index.ts';
import { scatter } from '../../src/kernels/topk/scatter.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { type ArrayCase, arrayAndAxis, groupsAlong, upload } from '../support/arrays.ts';
import { describeDevice } from '../support/devices.ts';

const selection = arrayAndAxis.chain(([array, axis]) =>
  fc.record({
    array: fc.constant(array),
    axis: fc.constant(axis),
    k: fc.integer({ min: 1, max: at(array.shape, axis) }),
  }),
);

/** For each line, the positions of its k largest elements; JavaScript's sort keeps the order of equal ones. */
function expectedIndices({ shape, values }: ArrayCase, axis: number, k: number): number[][] {
  return groupsAlong(shape, [axis]).map((group) => {
    const line = group.map((i) => at(values, i));
    return line
      .map((_, i) => i)
      .sort((a, b) => at(line, b) - at(line, a))
      .slice(0, k);
  });
}

describeDevice('topk', (device) => {
  it('is the head of a stable descending sort for any shape, axis and order in memory', async () => {
    await fc.assert(
      fc.asyncProperty(selection, async ({ array, axis, k }) => {
        using scope = new Scope();
        const { values, indices } = topk(upload(device(), scope, array), k, axis);
        const shape = array.shape.map((size, a) => (a === axis ? k : size));
        expect([values.shape, indices.shape]).toEqual([shape, shape]);
        const [valueData, indexData] = [await values.data(), await indices.data()];
        const lines = groupsAlong(array.shape, [axis]);
        for (const [line, group] of groupsAlong(shape, [axis]).entries()) {
          const expected = at(expectedIndices(array, axis, k), line);
          expect(group.map((i) => indexData[i])).toEqual(expected);
          expect(group.map((i) => valueData[i])).toEqual(expected.map((i) => array.values[at(at(lines, line), i)]));
        }
      }),
      { numRuns: 40 },
    );
  });

  it('puts the derivatives of the values back to their places, 0 elsewhere', async () => {
    await fc.assert(
      fc.asyncProperty(selection, async ({ array, axis, k }) => {
        using scope = new Scope();
        const { values, indices } = topk(upload(device(), scope, array), k, axis);
        // Two scores with the cotangents 1, 2, 3, ... in row-major order.
        const cotangent = Float32Array.from({ length: 2 * values.size }, (_, i) => i + 1);
        const g = tensor(device(), cotangent, [2, ...values.shape], { scope });
        const expected = new Array<number>(2 * array.values.length).fill(0);
        const lines = groupsAlong(array.shape, [axis]);
        for (const [line, group] of groupsAlong(values.shape, [axis]).entries()) {
          for (const [rank, index] of at(expectedIndices(array, axis, k), line).entries()) {
            const place = at(at(lines, line), index);
            expected[place] = at(group, rank) + 1;
            expected[array.values.length + place] = values.size + at(group, rank) + 1;
          }
        }
        expect([...(await scatter(g, indices, { shape: array.shape, axis }).data())]).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  it('orders NaN before infinity, as PyTorch does', async () => {
    using scope = new Scope();
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const x = tensor(device(), [1, nan, -inf, inf, nan, 1], [6], { scope });
    const { values, indices } = topk(x, 6);
    expect([...(await values.data())]).toEqual([nan, nan, inf, 1, 1, -inf]);
    expect([...(await indices.data())]).toEqual([1, 4, 3, 0, 5, 2]);
  });

  it.each([0, 4, -1, 1.5, Number.NaN])('refuses k = %s for 3 elements', (k) => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3], [1, 3], { scope });
    expect(() => topk(x, k)).toThrow(UsageError);
    expect(() => topk(x, k)).toThrow(`topk: k = ${k} is out of range for axis -1 of shape [1, 3]; use 1 to 3`);
  });
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { argmax } from '../../src/kernels/argmax/index.ts';
import { tensor } from '../../src/kernels/create.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { arrayAndAxis, groupsAlong, upload } from '../support/arrays.ts';
import { describeDevice } from '../support/devices.ts';

describeDevice('argmax', (device) => {
  it('is the first position of the maximum for any shape, axis and order in memory', async () => {
    await fc.assert(
      fc.asyncProperty(arrayAndAxis, fc.boolean(), async ([array, axis], keepDims) => {
        using scope = new Scope();
        const y = argmax(upload(device(), scope, array), axis, keepDims);
        const expected = groupsAlong(array.shape, [axis]).map((group) => {
          const line = group.map((i) => at(array.values, i));
          return line.indexOf(Math.max(...line));
        });
        expect(y.dtype).toBe('int32');
        expect(y.shape).toEqual(
          keepDims ? array.shape.map((size, a) => (a === axis ? 1 : size)) : array.shape.filter((_, a) => a !== axis),
        );
        expect([...(await y.data())]).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('takes NaN for the largest, and the first among several', async () => {
    using scope = new Scope();
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const x = tensor(device(), [1, inf, nan, nan, nan, inf, 1, 1, -inf, -inf, -inf, -inf], [3, 4], { scope });
    expect([...(await argmax(x, 1).data())]).toEqual([2, 0, 0]);
  });

  it('refuses an axis that is out of range or has no elements', () => {
    using scope = new Scope();
    const x = tensor(device(), [], [3, 0], { scope });
    expect(() => argmax(x, 2)).toThrow('axis 2 is out of range for a tensor with 2 axes');
    expect(() => argmax(x, -1)).toThrow(UsageError);
    expect(() => argmax(x, -1)).toThrow('argmax: shape [3, 0] has no elements along axis -1');
  });
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { tensor } from '../../src/kernels/create.ts';
import { logSoftmax, softmax } from '../../src/kernels/softmax/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { arrayAndAxis, groupsAlong, upload } from '../support/arrays.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

describeDevice('softmax', (device) => {
  it('is its definition for any shape, axis and order in memory, and so is its logarithm', async () => {
    await fc.assert(
      fc.asyncProperty(arrayAndAxis, async ([array, axis]) => {
        using scope = new Scope();
        const x = upload(device(), scope, array);
        const expected = new Array<number>(array.values.length);
        for (const group of groupsAlong(array.shape, [axis])) {
          const total = group.reduce((sum, i) => sum + Math.exp(at(array.values, i)), 0);
          for (const i of group) expected[i] = Math.exp(at(array.values, i)) / total;
        }
        expectClose(await softmax(x, axis).data(), expected, TOLERANCE);
        expectClose(await logSoftmax(x, axis).data(), expected.map(Math.log), TOLERANCE);
      }),
      { numRuns: 40 },
    );
  });

  it('neither overflows nor underflows to -infinity', async () => {
    using scope = new Scope();
    const x = tensor(device(), [1000, 999, -1000, -1000, -1000, -1001], [2, 3], { scope });
    // softmax(0, -1, -2000) and softmax(0, 0, -1)
    const [e, big, small] = [Math.exp(-1), Math.log1p(Math.exp(-1)), Math.log(2 + Math.exp(-1))];
    expectClose(
      await softmax(x).data(),
      [1 / (1 + e), e / (1 + e), 0, 1 / (2 + e), 1 / (2 + e), e / (2 + e)],
      TOLERANCE,
    );
    expectClose(await logSoftmax(x).data(), [-big, -1 - big, -2000 - big, -small, -small, -1 - small], TOLERANCE);
  });

  it('refuses an axis that is out of range', () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2], [2], { scope });
    expect(() => softmax(x, 1)).toThrow('axis 1 is out of range for a tensor with 1 axes');
    expect(() => logSoftmax(x, -2)).toThrow('axis -2 is out of range');
  });
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  add,
  concat,
  contiguous,
  expand,
  pad,
  reshape,
  select,
  slice,
  tensor,
  transpose,
} from '../../src/kernels/index.ts';
import { isDense } from '../../src/tensor/layout.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { anyArray, upload } from '../support/arrays.ts';
import { describeDevice } from '../support/devices.ts';

/* Ops that move values and change none: their results are exact. */

describeDevice('views and copies', (device) => {
  const read = async (x: { data(): Promise<ArrayLike<number>> }) => Array.from(await x.data());

  it('read the same in every order of axes in memory', async () => {
    await fc.assert(
      fc.asyncProperty(anyArray, fc.infiniteStream(fc.nat()), async (array, random) => {
        using scope = new Scope();
        const x = upload(device(), scope, array);
        expect(await read(x)).toEqual(array.values);
        const order = array.shape.map((_, axis) => ({ axis, key: random.next().value })).sort((a, b) => a.key - b.key);
        const copy = contiguous(
          x,
          order.map(({ axis }) => axis),
        );
        expect(
          isDense(
            copy,
            order.map(({ axis }) => axis),
          ),
        ).toBe(true);
        expect(await read(copy)).toEqual(array.values);
        expect(await read(reshape(copy, [-1]))).toEqual(array.values);
      }),
      { numRuns: 40 },
    );
  });

  it('transposing twice, and slicing what was padded, give the tensor back', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyArray,
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        async (array, before, after) => {
          using scope = new Scope();
          const x = upload(device(), scope, array);
          expect(await read(transpose(transpose(x)))).toEqual(array.values);
          const padded = pad(
            x,
            array.shape.map(() => before),
            array.shape.map(() => after),
            9,
          );
          expect(padded.shape).toEqual(array.shape.map((size) => size + before + after));
          const inner = slice(
            padded,
            array.shape.map(() => before),
            array.shape.map((size) => size + before),
          );
          expect(await read(inner)).toEqual(array.values);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('slices put one after the other are the tensor', async () => {
    await fc.assert(
      fc.asyncProperty(anyArray, fc.nat(), fc.nat(), async (array, whichAxis, whichCut) => {
        using scope = new Scope();
        const x = upload(device(), scope, array);
        const axis = whichAxis % array.shape.length;
        const cut = whichCut % ((array.shape[axis] ?? 0) + 1);
        const zeros = array.shape.map(() => 0);
        const head = slice(
          x,
          zeros,
          array.shape.map((size, a) => (a === axis ? cut : size)),
        );
        const tail = slice(
          x,
          array.shape.map((_, a) => (a === axis ? cut : 0)),
          array.shape,
        );
        expect(await read(concat([head, tail], axis))).toEqual(array.values);
      }),
      { numRuns: 40 },
    );
  });

  it('views share memory, and take none', async () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 4, 5, 6], [2, 3], { scope });
    const blocks = device().memory().blocks;
    const views = [transpose(x), slice(x, [0, 1], [2, 3]), reshape(x, [3, 2]), expand(x, [4, 2, 3]), select(x, 1, -1)];
    expect(device().memory().blocks).toBe(blocks);
    expect(await read(views[1] ?? x)).toEqual([2, 3, 5, 6]);
    expect(await read(views[4] ?? x)).toEqual([3, 6]);
    expect(await read(add(expand(x, [2, 2, 3]), x))).toEqual([2, 4, 6, 8, 10, 12, 2, 4, 6, 8, 10, 12]);
  });

  it('say what does not fit', () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 4, 5, 6], [2, 3], { scope });
    expect(() => reshape(x, [4, -1])).toThrow('reshape: [2, 3] has 6 elements and does not fit into [4, -1]');
    expect(() => reshape(x, [-1, -1])).toThrow('does not fit');
    expect(() => transpose(x, [0, 0])).toThrow('[0, 0] is not a permutation of the 2 axes of [2, 3]');
    expect(() => slice(x, [0], [2])).toThrow('starts [0] needs one entry for each axis of [2, 3]');
    expect(() => slice(x, [0, 0], [2, 3], [1, 0])).toThrow('steps [1, 0] must be 1 or more');
    expect(() => expand(x, [2, 4])).toThrow();
    expect(() => select(x, 1, 3)).toThrow('index along axis 1 3 is out of range');
    expect(() => pad(x, [0, -1], [0, 0])).toThrow('before [0, -1] needs a count of 0 or more');
    expect(() => concat([x, tensor(device(), [1], [1, 1], { scope })], 0)).toThrow('concat along axis 0');
    expect(() => concat([])).toThrow('concat needs at least one tensor');
    expect(() => add(x, tensor(device(), [1, 2], [2], { scope }))).toThrow('shapes [2, 3] and [2] do not broadcast');
    expect(() => tensor(device(), [1, 2, 3], [2, 2])).toThrow(
      '3 values do not fill a tensor of shape [2, 2], which has 4 elements',
    );
  });
});

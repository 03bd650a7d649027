import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/create.ts';
import { applySingle } from '../../src/kernels/op.ts';
import { max, mean, type ReduceFunction, reduceDefinition, sum, sumTo } from '../../src/kernels/reduce/index.ts';
import { expand, slice } from '../../src/kernels/view/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { anyArray, arrayOfShape, groupsAlong, upload } from '../support/arrays.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

const total = (values: number[]) => values.reduce((a, b) => a + b, 0);

const definitions: Record<ReduceFunction, (values: number[]) => number> = {
  sum: total,
  mean: (values) => total(values) / values.length,
  max: (values) => Math.max(...values),
};

const arrayAndAxes = anyArray.chain((array) =>
  fc.record({ array: fc.constant(array), axes: fc.subarray(array.shape.map((_, axis) => axis)) }),
);

describeDevice('reduce', (device) => {
  it('is its definition for any shape, axes and order in memory, with either shader', async () => {
    const shader = fc.constantFrom('serial' as const, 'tree' as const);
    const fn = fc.constantFrom('sum' as const, 'mean' as const, 'max' as const);
    await fc.assert(
      fc.asyncProperty(arrayAndAxes, fn, fc.boolean(), shader, async ({ array, axes }, fn, keepDims, shader) => {
        using scope = new Scope();
        const x = upload(device(), scope, array);
        const y = applySingle(reduceDefinition, [x], { fn, axes, keepDims, shader });
        const expected = groupsAlong(array.shape, axes).map((group) =>
          definitions[fn](group.map((i) => at(array.values, i))),
        );
        const kept = array.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
        expect(y.shape).toEqual(keepDims ? kept : kept.filter((_, axis) => !axes.includes(axis)));
        expectClose(await y.data(), expected, TOLERANCE);
      }),
      { numRuns: 60 },
    );
  });

  it('keeps the order of the axes in memory', () => {
    using scope = new Scope();
    const x = tensor(device(), new Float32Array(120), [2, 3, 4, 5], { order: [0, 2, 3, 1], scope });
    expect(sum(x, [0]).strides).toEqual([1, 15, 3]);
    expect(sum(x, [3], true).strides[1]).toBe(1);
  });

  it('reduces all axes when none are named', async () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 6], [2, 2], { scope });
    expect(await sum(x).item()).toBe(12);
    expect(await mean(x).item()).toBe(3);
    expect(await max(x).item()).toBe(6);
    expect(sum(x, undefined, true).shape).toEqual([1, 1]);
  });

  it('reduces many elements to few', async () => {
    using scope = new Scope();
    // 0, 1, ..., n - 1 in both rows: the sum is n (n - 1) / 2.
    const n = 3001;
    const x = tensor(
      device(),
      Float32Array.from({ length: 2 * n }, (_, i) => i % n),
      [2, n],
      { scope },
    );
    expectClose(await sum(x, [1]).data(), [(n * (n - 1)) / 2, (n * (n - 1)) / 2], TOLERANCE);
    expectClose(await mean(x).data(), [(n - 1) / 2], TOLERANCE);
    expect([...(await max(x, [1]).data())]).toEqual([n - 1, n - 1]);
  });

  it('reads through the offset of a slice', async () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], { scope });
    expect([...(await sum(slice(x, [1, 0], [3, 3], [1, 2]), [1]).data())]).toEqual([10, 16]);
  });

  it('passes NaN and infinities through the maximum', async () => {
    using scope = new Scope();
    const rows = [
      1,
      Number.NaN,
      3,
      Number.NaN,
      1,
      2,
      Number.NEGATIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
    ];
    const x = tensor(device(), rows, [3, 3], { scope });
    expect([...(await max(x, [1]).data())]).toEqual([Number.NaN, Number.NaN, Number.NEGATIVE_INFINITY]);
  });

  it('adds up nothing to 0, and refuses the mean and the maximum of nothing', async () => {
    using scope = new Scope();
    const x = tensor(device(), [], [2, 0], { scope });
    expect([...(await sum(x, [1]).data())]).toEqual([0, 0]);
    expect(() => mean(x, [1])).toThrow(UsageError);
    expect(() => max(x)).toThrow('max: shape [2, 0] has no elements along axes [0, 1]');
    expect(max(x, [0]).shape).toEqual([0]);
  });

  it('refuses axes that are out of range or named twice', () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 4], [2, 2], { scope });
    expect(() => sum(x, [2])).toThrow('axis 2 is out of range for a tensor with 2 axes');
    expect(() => sum(x, [-3])).toThrow(UsageError);
    expect(() => mean(x, [1, -1])).toThrow('axes [1, -1] name one axis twice');
  });
});

describeDevice('sumTo', (device) => {
  const broadcast = fc
    .array(fc.record({ size: fc.integer({ min: 1, max: 4 }), stretched: fc.boolean() }), { maxLength: 3 })
    .chain((axes) =>
      fc.record({
        full: arrayOfShape([2, ...axes.map(({ size }) => size)]),
        shape: fc
          .nat(axes.length)
          .map((added) => axes.map(({ size, stretched }) => (stretched ? 1 : size)).slice(added)),
      }),
    );

  it('is the adjoint of expand: <expand(ones), x> = <ones, sumTo(x)>, at each place', async () => {
    await fc.assert(
      fc.asyncProperty(broadcast, async ({ full, shape }) => {
        using scope = new Scope();
        const x = upload(device(), scope, full);
        const y = sumTo(x, shape);
        expect(y.shape).toEqual([2, ...shape]);
        // A tensor of its own indices, expanded, says which element of `shape` each element of x came from.
        const count = shape.reduce((a, b) => a * b, 1);
        const places = tensor(
          device(),
          Float32Array.from({ length: count }, (_, i) => i),
          shape,
          { scope },
        );
        const origins = await expand(places, full.shape.slice(1)).data();
        const expected = new Array<number>(2 * count).fill(0);
        for (const [i, value] of full.values.entries()) {
          const target = Math.floor(i / origins.length) * count + at(origins, i % origins.length);
          expected[target] = at(expected, target) + value;
        }
        expect([...(await y.data())]).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('does not compute where nothing was broadcast', () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 4], [2, 2], { scope });
    expect(sumTo(x, [2]).storage).toBe(x.storage);
  });
});

import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { CpuDevice } from '../../src/kernels/cpu/device.ts';
import { expand, reshape, select, slice, tensor, transpose } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { rearrange } from '../../src/tensor/tensor.ts';
import { anyArray, upload } from '../support/arrays.ts';

const device = new CpuDevice();

afterEach(() => expect(device.memory().blocks, 'blocks left on the device').toBe(0));

describe('data()', () => {
  it('is in row-major order of the shape, whatever the order in memory', () =>
    fc.assert(
      fc.asyncProperty(anyArray, async (array) => {
        using scope = new Scope();
        expect(await upload(device, scope, array).data()).toEqual(Float32Array.from(array.values));
      }),
    ));

  it('reads views: transposed, sliced in steps, selected, stretched', async () => {
    using scope = new Scope();
    const x = tensor(device, [0, 1, 2, 3, 4, 5], [2, 3], { scope });
    const read = async (view: typeof x) => Array.from(await view.data());
    expect(await read(transpose(x))).toEqual([0, 3, 1, 4, 2, 5]);
    expect(await read(slice(x, [0, 0], [2, 3], [1, 2]))).toEqual([0, 2, 3, 5]);
    expect(await read(slice(transpose(x), [1, 1], [3, 2]))).toEqual([4, 5]);
    expect(await read(select(x, 0, -1))).toEqual([3, 4, 5]);
    expect(await read(expand(select(x, 1, 1), [2, 2]))).toEqual([1, 4, 1, 4]);
    expect(await read(slice(x, [0, 1], [2, 1]))).toEqual([]);
    expect(device.memory().blocks).toBe(1);
  });

  it('keeps the element type', async () => {
    using scope = new Scope();
    const x = tensor(device, Int32Array.of(1, -2, 2 ** 31 - 1, 4), [2, 2], { scope });
    expect(await transpose(x).data()).toEqual(Int32Array.of(1, 2 ** 31 - 1, -2, 4));
  });

  it('is a copy', async () => {
    using x = tensor(device, [1, 2], [2]);
    (await x.data()).fill(9);
    expect(await x.data()).toEqual(Float32Array.of(1, 2));
  });

  it('of nothing is nothing, and of a scalar one number', async () => {
    using empty = tensor(device, [], [0, 3]);
    using scalar = tensor(device, [7], []);
    expect(await empty.data()).toEqual(new Float32Array());
    expect(await scalar.data()).toEqual(Float32Array.of(7));
  });
});

describe('item()', () => {
  it('is the only value, also of a view', async () => {
    using scope = new Scope();
    const x = tensor(device, [1, 2, 3], [3, 1], { scope });
    expect(await slice(x, [2, 0], [3, 1]).item()).toBe(3);
  });

  it('refuses more values', async () => {
    using x = tensor(device, [1, 2], [2]);
    await expect(x.item()).rejects.toThrow(new UsageError('item() wants one element, not shape [2]; use data()'));
  });
});

describe('ndarray()', () => {
  it('indexes like the tensor', async () => {
    using scope = new Scope();
    const x = transpose(tensor(device, [0, 1, 2, 3, 4, 5], [2, 3], { scope }));
    const view = await x.ndarray();
    expect(view.shape).toEqual([3, 2]);
    expect([view.get(0, 1), view.get(2, 0), view.get(2, 1)]).toEqual([3, 2, 5]);
    expect(view.pick(1, null).get(1)).toBe(4);
  });
});

describe('rearrange', () => {
  it('puts the axes into the order given', () => {
    // [2, 3]: its columns one after the other.
    expect(rearrange(Float32Array.of(0, 1, 2, 3, 4, 5), [2, 3], [1, 0])).toEqual(Float32Array.of(0, 3, 1, 4, 2, 5));
    // [1, 2, 1, 2], two channels of two pixels: the channels of each pixel side by side.
    expect(rearrange(Int32Array.of(1, 2, 3, 4), [1, 2, 1, 2], [0, 2, 3, 1])).toEqual(Int32Array.of(1, 3, 2, 4));
  });

  it('is undone by the inverse order', () =>
    fc.assert(
      fc.property(anyArray, ({ shape, values, order }) => {
        const there = rearrange(Float32Array.from(values), shape, order);
        const permuted = order.map((axis) => at(shape, axis));
        const inverse = shape.map((_, axis) => order.indexOf(axis));
        expect(rearrange(there, permuted, inverse)).toEqual(Float32Array.from(values));
      }),
    ));
});

describe('dispose()', () => {
  const message = 'a tensor of shape [2] is used after dispose(); keep it out of the scope, or dispose of it later';

  it('makes every later use an error', async () => {
    const x = tensor(device, [1, 2], [2]);
    x.dispose();
    expect(x.disposed).toBe(true);
    await expect(x.data()).rejects.toThrow(new UsageError(message));
    expect(() => reshape(x, [2, 1])).toThrow(new UsageError(message));
    expect(() => x.alias()).toThrow(new UsageError(message));
  });

  it('may be called twice', () => {
    const x = tensor(device, [1, 2], [2]);
    const alias = x.alias();
    x.dispose();
    x.dispose();
    expect(device.memory().blocks).toBe(1);
    alias.dispose();
  });

  it('frees the storage with the last view of it', async () => {
    const x = tensor(device, [1, 2, 3, 4], [2, 2]);
    const view = transpose(x);
    x.dispose();
    expect(await view.data()).toEqual(Float32Array.of(1, 3, 2, 4));
    expect(device.memory().blocks).toBe(1);
    view.dispose();
    expect(device.memory().blocks).toBe(0);
  });
});

describe('tensor()', () => {
  it.each([
    [[1, 2, 3], [2, 2], '3 values do not fill a tensor of shape [2, 2], which has 4 elements'],
    [[1], [-1, -1], 'tensor: [-1, -1] is not a shape'],
    [[1], [0.5, 2], 'tensor: [0.5, 2] is not a shape'],
  ])('refuses %j as %j', (values, shape, message) => {
    expect(() => tensor(device, values, shape)).toThrow(new UsageError(message));
  });
});

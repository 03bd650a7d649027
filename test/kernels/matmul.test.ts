import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/create.ts';
import { linear, matmul, matmulDefinition } from '../../src/kernels/matmul/index.ts';
import { SHADERS } from '../../src/kernels/matmul/wgsl.ts';
import { applySingle } from '../../src/kernels/op.ts';
import { slice, transpose } from '../../src/kernels/view/index.ts';
import { denseStrides } from '../../src/tensor/layout.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at, sizeOf } from '../../src/tensor/shape.ts';
import { type ArrayCase, arrayOfShape, upload } from '../support/arrays.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

/** y[..., m, n] = sum over k of a[..., m, k] b[..., k, n]; a batch axis of size 1 repeats, and so does a missing one. */
function product(a: ArrayCase, b: ArrayCase, shape: readonly number[]): number[] {
  const strides = denseStrides(shape);
  const element = ({ shape: own, values }: ArrayCase, index: readonly number[]) => {
    const ownStrides = denseStrides(own);
    const used = index.slice(index.length - own.length);
    return at(
      values,
      used.reduce((sum, i, axis) => sum + (own[axis] === 1 ? 0 : i) * at(ownStrides, axis), 0),
    );
  };
  return Array.from({ length: sizeOf(shape) }, (_, i) => {
    const index = shape.map((size, axis) => Math.floor(i / at(strides, axis)) % size);
    const [batch, m, n] = [index.slice(0, -2), at(index, index.length - 2), at(index, index.length - 1)];
    let sum = 0;
    for (let k = 0; k < at(a.shape, a.shape.length - 1); k++) {
      sum += element(a, [...batch, m, k]) * element(b, [...batch, k, n]);
    }
    return sum;
  });
}

const size = fc.integer({ min: 1, max: 9 });
const batchAxes = fc.array(
  fc.record({ size: fc.integer({ min: 1, max: 3 }), kind: fc.constantFrom('both', 'a', 'b') }),
  {
    maxLength: 2,
  },
);

/** Two stacks of matrices; along each batch axis one of them may have size 1, and b may lack the first axes. */
const factors = fc.tuple(size, size, size, batchAxes, fc.nat(2)).chain(([m, k, n, batch, missing]) => {
  const batchOf = (other: string) => batch.map((axis) => (axis.kind === other ? 1 : axis.size));
  const lacking = Math.min(missing, batch.length);
  const bBatch = batchOf('a').slice(lacking);
  return fc.record({
    a: arrayOfShape([...batchOf('b'), m, k]),
    b: arrayOfShape([...bBatch, k, n]),
    shape: fc.constant([...batch.map((axis, i) => (i < lacking && axis.kind === 'b' ? 1 : axis.size)), m, n]),
  });
});

describeDevice('matmul', (device) => {
  it('is its definition for any shapes, broadcast batches and orders in memory, with each shader', async () => {
    const shader = fc.constantFrom(...SHADERS);
    await fc.assert(
      fc.asyncProperty(factors, shader, async ({ a, b, shape }, shader) => {
        using scope = new Scope();
        const y = applySingle(matmulDefinition, [upload(device(), scope, a), upload(device(), scope, b)], { shader });
        expect(y.shape).toEqual(shape);
        expectClose(await y.data(), product(a, b, shape), TOLERANCE);
      }),
      { numRuns: 60 },
    );
  });

  it.each([1, 5, 12])('multiplies %d rows by a wide and deep weight', async (m) => {
    using scope = new Scope();
    const [k, n] = [300, 70];
    // a[m, k] = m + 1 and b[k, n] = n / k_count: every element of row m and column n is (m + 1) n.
    const a = tensor(
      device(),
      Float32Array.from({ length: m * k }, (_, i) => Math.floor(i / k) + 1),
      [m, k],
      { scope },
    );
    const weight = tensor(
      device(),
      Float32Array.from({ length: n * k }, (_, i) => Math.floor(i / k) / k),
      [n, k],
      { scope },
    );
    const expected = Array.from({ length: m * n }, (_, i) => (Math.floor(i / n) + 1) * (i % n));
    expectClose(await linear(a, weight).data(), expected, TOLERANCE);
    expectClose(await matmul(a, transpose(weight)).data(), expected, TOLERANCE);
  });

  it('reads through the strides of slices', async () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], { scope });
    const corners = slice(x, [0, 0], [3, 3], [2, 2]);
    const lower = slice(x, [1, 1], [3, 3]);
    // [[1, 3], [7, 9]] [[5, 6], [8, 9]]
    expect([...(await matmul(corners, lower).data())]).toEqual([29, 33, 107, 123]);
  });

  it('has nothing to add up where K = 0', async () => {
    using scope = new Scope();
    const y = matmul(tensor(device(), [], [2, 0], { scope }), tensor(device(), [], [0, 3], { scope }));
    expect([...(await y.data())]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('refuses shapes that do not fit', () => {
    using scope = new Scope();
    const of = (shape: number[]) => tensor(device(), new Float32Array(sizeOf(shape)), shape, { scope });
    expect(() => matmul(of([2, 3]), of([2, 3]))).toThrow(UsageError);
    expect(() => matmul(of([2, 3]), of([2, 3]))).toThrow(
      'matmul: shapes [2, 3] and [2, 3] do not fit; they must be [..., M, K] and [..., K, N]',
    );
    expect(() => matmul(of([3]), of([3, 2]))).toThrow(UsageError);
    expect(() => matmul(of([2, 3, 3]), of([4, 3, 3]))).toThrow('shapes [2] and [4] do not broadcast');
  });
});

describeDevice('linear', (device) => {
  it('keeps the leading axes and adds the bias to each row', async () => {
    using scope = new Scope();
    const of = (values: number[], shape: number[]) => tensor(device(), values, shape, { scope });
    const weight = of([1, 2, 3, 4, 5, 6], [3, 2]);
    const bias = of([10, 20, 30], [3]);
    expect([...(await linear(of([1, 1], [2]), weight, bias).data())]).toEqual([13, 27, 41]);
    const y = linear(of([1, 0, 0, 1], [2, 1, 2]), weight);
    expect(y.shape).toEqual([2, 1, 3]);
    expect([...(await y.data())]).toEqual([1, 3, 5, 2, 4, 6]);
  });

  it('leaves nothing behind but its result', () => {
    const before = device().memory().blocks;
    using x = tensor(device(), [1, 1], [1, 2]);
    using weight = tensor(device(), [1, 2, 3, 4], [2, 2]);
    using bias = tensor(device(), [1, 2], [2]);
    using y = linear(x, weight, bias);
    expect(y.shape).toEqual([1, 2]);
    expect(device().memory().blocks).toBe(before + 4);
  });

  it('refuses shapes that do not fit', () => {
    using scope = new Scope();
    const of = (shape: number[]) => tensor(device(), new Float32Array(sizeOf(shape)), shape, { scope });
    expect(() => linear(of([1, 3]), of([4, 2]))).toThrow(
      'linear: shapes [1, 3] and [4, 2] do not fit; they must be [..., in] and [out, in]',
    );
    expect(() => linear(of([1, 2]), of([4, 2]), of([2]))).toThrow('[out, in] and [out] for weight and bias');
    expect(() => linear(of([1, 2]), of([4, 1, 2]))).toThrow(UsageError);
  });
});

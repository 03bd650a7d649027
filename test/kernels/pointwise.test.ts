import fc from 'fast-check';
import { expect, it } from 'vitest';
import { gradcheck } from '../../src/autograd/gradcheck.ts';
import { grad } from '../../src/autograd/tape.ts';
import {
  abs,
  add,
  argmax,
  expand,
  gelu,
  mul,
  multiplyAdd,
  multiplyAddRelu,
  relu,
  rsqrt,
  select,
  sub,
  sum,
  tensor,
  where,
} from '../../src/kernels/index.ts';
import { erf } from '../../src/kernels/pointwise/erf.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

/** Two shapes that broadcast: some axes are 1 in one of them, or missing in front. */
const broadcastPair = fc
  .array(fc.record({ size: fc.integer({ min: 1, max: 4 }), a: fc.boolean(), b: fc.boolean() }), {
    minLength: 1,
    maxLength: 5,
  })
  .chain((axes) => {
    const shape = axes.map(({ size }) => size);
    const a = axes.map((axis) => (axis.a ? axis.size : 1));
    const b = axes.map((axis) => (axis.b ? axis.size : 1));
    return fc.record({ shape: fc.constant(shape), a: fc.constant(a), b: fc.constant(b), drop: fc.nat(axes.length) });
  })
  .map(({ a, b, drop }) => ({
    a,
    b: b.slice(Math.min(drop, b.findIndex((size) => size !== 1) < 0 ? drop : b.findIndex((size) => size !== 1))),
  }));

const ramp = (shape: readonly number[], from: number) =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => from + i / 8);

describeDevice('pointwise', (device) => {
  it('broadcasts as NumPy does', async () => {
    await fc.assert(
      fc.asyncProperty(broadcastPair, async ({ a, b }) => {
        using scope = new Scope();
        const [va, vb] = [ramp(a, 1), ramp(b, 100)];
        const y = sub(tensor(device(), va, a, { scope }), tensor(device(), vb, b, { scope }));
        // The definition: each operand is read at the index with 0 on its axes of size 1.
        const rank = Math.max(a.length, b.length);
        const shape = Array.from({ length: rank }, (_, i) =>
          Math.max(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1),
        );
        const read = (values: Float32Array, own: readonly number[], index: readonly number[]) => {
          const at = own.reduce(
            (sum, size, i) => sum * size + (size === 1 ? 0 : (index[i + rank - own.length] ?? 0)),
            0,
          );
          return values[at] ?? Number.NaN;
        };
        const expected = Array.from({ length: sizeOf(shape) }, (_, flat) => {
          let rest = flat;
          const index = shape.map(() => 0);
          for (let i = rank - 1; i >= 0; i--) {
            index[i] = rest % (shape[i] ?? 1);
            rest = Math.floor(rest / (shape[i] ?? 1));
          }
          return read(va, a, index) - read(vb, b, index);
        });
        expect(y.shape).toEqual(shape);
        expect(Array.from(await y.data())).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('lets NaN come through the ReLU', async () => {
    using scope = new Scope();
    const x = tensor(device(), [Number.NaN, -1, 0, 2], [4], { scope });
    expect(Array.from(await relu(x).data())).toEqual([Number.NaN, 0, 0, 2]);
  });

  it('gelu is x times the normal distribution function', async () => {
    using scope = new Scope();
    // Phi from tables: Abramowitz and Stegun, table 26.1.
    const table = [
      [0, 0.5],
      [0.5, 0.6914624612740131],
      [1, 0.8413447460685429],
      [2, 0.9772498680518208],
      [3, 0.9986501019683699],
    ] as const;
    const x = [...table.map(([z]) => z), ...table.map(([z]) => -z)];
    const phi = [...table.map(([, p]) => p), ...table.map(([, p]) => 1 - p)];
    const y = gelu(tensor(device(), x, [x.length], { scope }));
    expectClose(
      await y.data(),
      x.map((z, i) => z * (phi[i] ?? 0)),
      TOLERANCE,
    );
  });

  // What PyTorch's cases do not have by itself. The values keep away from the kinks of abs and relu.
  it.each([
    ['abs', (x: Tensor) => abs(x)],
    ['rsqrt', (x: Tensor) => rsqrt(mul(x, x))],
    ['multiplyAdd', (x: Tensor, a: Tensor, b: Tensor) => multiplyAdd(x, a, b)],
    ['multiplyAddRelu', (x: Tensor, a: Tensor, b: Tensor) => multiplyAddRelu(x, a, b)],
    ['expand', (x: Tensor) => expand(x, [2, 3, 2])],
    ['select', (x: Tensor) => select(x, 0, 1)],
  ] as const)('%s passes gradcheck', async (_name, f) => {
    using scope = new Scope();
    const x = tensor(device(), [1.5, -2, 3, -0.7, 0.9, -1.1], [3, 2], { scope });
    const a = tensor(device(), [2, -3], [2], { scope });
    const b = tensor(device(), [0.5, 1.5], [2], { scope });
    const inputs = [x, a, b].slice(0, f.length);
    await gradcheck(
      (...tensors) => mul(f(...(tensors as [Tensor, Tensor, Tensor])), tensor(device(), [1.7], [], { scope })),
      inputs,
    );
  });

  it('where has no gradient for what its condition hides, infinite or not', async () => {
    using scope = new Scope();
    const condition = tensor(device(), [Number.POSITIVE_INFINITY, 0], [2], { scope });
    const [a, b] = [tensor(device(), [1, 2], [2], { scope }), tensor(device(), [3, 4], [2], { scope })];
    const [da, db] = grad((a, b) => sum(where(condition, a, b)), [a, b]);
    expect(Array.from((await da?.data()) ?? [])).toEqual([1, 0]);
    expect(Array.from((await db?.data()) ?? [])).toEqual([0, 1]);
  });

  it('refuses tensors of two devices, indices, and tensors that were disposed of', async () => {
    using scope = new Scope();
    const x = tensor(device(), [1, 2], [2], { scope });
    expect(() => mul(x, argmax(x, 0))).toThrow('pointwise computes in float32 and got an int32 tensor');
    const gone = tensor(device(), [1, 2], [2]);
    gone.dispose();
    expect(() => add(x, gone)).toThrow('a tensor of shape [2] is used after dispose()');
    const { CpuDevice } = await import('../../src/kernels/cpu/device.ts');
    using elsewhere = new CpuDevice();
    using other = tensor(elsewhere, [1, 2], [2]);
    expect(() => add(x, other)).toThrow('upload both to one device');
  });
});

describeDevice('erf', () => {
  it('is that of the tables', () => {
    // Abramowitz and Stegun, table 7.1, to ten digits.
    const table = [
      [0, 0],
      [0.1, 0.112462916],
      [0.5, 0.5204998778],
      [1, 0.8427007929],
      [1.5, 0.9661051465],
      [2, 0.995322265],
      [2.4, 0.9993114861],
      [2.6, 0.9997639656],
      [3, 0.9999779095],
      [7, 1],
    ] as const;
    for (const [x, y] of table) {
      expect(erf(x)).toBeCloseTo(y, 9);
      expect(erf(-x)).toBeCloseTo(-y, 9);
    }
  });
});

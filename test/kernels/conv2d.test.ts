import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Tape } from '../../src/autograd/tape.ts';
import { conv2d, tensor } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

/** Numbers of a wave that no shape repeats. */
const wave = (shape: readonly number[], phase: number) =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i + phase));

const convolutions = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
    channelsPerGroup: fc.integer({ min: 1, max: 5 }),
    outPerGroup: fc.integer({ min: 1, max: 9 }),
    size: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
    kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    padding: fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 })),
    dilation: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    relu: fc.boolean(),
  })
  .filter(({ size, kernel, padding, dilation }) =>
    [0, 1].every(
      (axis) => (size[axis] ?? 0) + 2 * (padding[axis] ?? 0) > (dilation[axis] ?? 0) * ((kernel[axis] ?? 0) - 1),
    ),
  );

type Convolution = typeof convolutions extends fc.Arbitrary<infer T> ? T : never;

/** The definition, as seven loops: calls `product` for every x and weight that meet in an output. */
function eachProduct(c: Convolution, product: (y: number, x: number, w: number) => void): number[] {
  const { batch, groups, channelsPerGroup, outPerGroup, size, kernel, stride, padding, dilation } = c;
  const out = ([0, 1] as const).map(
    (a) => Math.floor((size[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) / stride[a]) + 1,
  );
  const [oh = 0, ow = 0] = out;
  const [channels, outs] = [groups * channelsPerGroup, groups * outPerGroup];
  for (let n = 0; n < batch; n++) {
    for (let o = 0; o < outs; o++) {
      for (let y = 0; y < oh; y++) {
        for (let x = 0; x < ow; x++) {
          for (let i = 0; i < channelsPerGroup; i++) {
            for (let ky = 0; ky < kernel[0]; ky++) {
              for (let kx = 0; kx < kernel[1]; kx++) {
                const [iy, ix] = [
                  y * stride[0] - padding[0] + ky * dilation[0],
                  x * stride[1] - padding[1] + kx * dilation[1],
                ];
                if (iy < 0 || ix < 0 || iy >= size[0] || ix >= size[1]) continue;
                const channel = Math.floor(o / outPerGroup) * channelsPerGroup + i;
                product(
                  ((n * outs + o) * oh + y) * ow + x,
                  ((n * channels + channel) * size[0] + iy) * size[1] + ix,
                  ((o * channelsPerGroup + i) * kernel[0] + ky) * kernel[1] + kx,
                );
              }
            }
          }
        }
      }
    }
  }
  return [batch, outs, oh, ow];
}

describeDevice('conv2d', (device) => {
  it('and its gradients are their definitions for any shape', async () => {
    await fc.assert(
      fc.asyncProperty(convolutions, async (c) => {
        using scope = new Scope();
        using tape = new Tape();
        const outs = c.groups * c.outPerGroup;
        const xShape = [c.batch, c.groups * c.channelsPerGroup, ...c.size];
        const wShape = [outs, c.channelsPerGroup, ...c.kernel];
        const [xs, ws, bs] = [wave(xShape, 0), wave(wShape, 1), wave([outs], 2)];
        const x = tape.watch(tensor(device(), xs, xShape, { scope }));
        const weight = tape.watch(tensor(device(), ws, wShape, { scope }));
        const bias = tape.watch(tensor(device(), bs, [outs], { scope }));
        const y = conv2d(x, weight, { ...c, bias, activation: c.relu ? 'relu' : 'none' });

        const sums = new Map<number, number>();
        const shape = eachProduct(c, (to, i, w) => sums.set(to, (sums.get(to) ?? 0) + (xs[i] ?? 0) * (ws[w] ?? 0)));
        const area = (shape[2] ?? 0) * (shape[3] ?? 0);
        const linear = Array.from(
          { length: sizeOf(shape) },
          (_, i) => (sums.get(i) ?? 0) + (bs[Math.floor(i / area) % outs] ?? 0),
        );
        expect(y.shape).toEqual(shape);
        expectClose(await y.data(), c.relu ? linear.map((v) => Math.max(v, 0)) : linear, TOLERANCE, 'y');

        const K = 2;
        const above = wave([K, ...shape], 3);
        // Within rounding of 0 the derivative of the ReLU is not defined.
        if (c.relu && linear.some((v) => Math.abs(v) < 1e-4)) return;
        const [dx = new Float64Array(0), dw = new Float64Array(0), db = new Float64Array(0)] = [xs, ws, bs].map(
          (v) => new Float64Array(K * v.length),
        );
        for (let k = 0; k < K; k++) {
          const passed = linear.map((v, i) => (c.relu && v <= 0 ? 0 : (above[k * linear.length + i] ?? 0)));
          const accumulate = (into: Float64Array, at: number, value: number) => {
            into[at] = (into[at] ?? 0) + value;
          };
          eachProduct(c, (to, i, w) => {
            accumulate(dx, k * xs.length + i, (passed[to] ?? 0) * (ws[w] ?? 0));
            accumulate(dw, k * ws.length + w, (passed[to] ?? 0) * (xs[i] ?? 0));
          });
          for (const [i, value] of passed.entries()) accumulate(db, k * outs + (Math.floor(i / area) % outs), value);
        }
        const cotangents = tensor(device(), above, [K, ...shape], { scope });
        const [gx, gw, gb] = tape.vjp(y, cotangents, [x, weight, bias]);
        expectClose((await gx?.data()) ?? [], dx, TOLERANCE, 'dx');
        expectClose((await gw?.data()) ?? [], dw, TOLERANCE, 'dweight');
        expectClose((await gb?.data()) ?? [], db, TOLERANCE, 'dbias');
      }),
      { numRuns: 40 },
    );
  });

  it('lets a NaN come through its ReLU', async () => {
    using scope = new Scope();
    const x = tensor(device(), [Number.NaN, -1], [1, 1, 1, 2], { scope });
    const weight = tensor(device(), [1], [1, 1, 1, 1], { scope });
    expect(Array.from(await conv2d(x, weight, { activation: 'relu' }).data())).toEqual([Number.NaN, 0]);
  });

  it('keeps the padding of one image free of another image, even of its NaN and infinity', async () => {
    using scope = new Scope();
    const x = tensor(device(), [Number.NaN, 1, 1, 1, 1, 1, 1, 1], [2, 1, 2, 2], { scope });
    const weight = tensor(device(), new Float32Array(9).fill(1), [1, 1, 3, 3], { scope });
    expect(Array.from(await conv2d(x, weight, { padding: 1 }).data()).slice(4)).toEqual([4, 4, 4, 4]);
    const infinite = tensor(device(), [Number.POSITIVE_INFINITY, 0, 0, 0], [1, 1, 2, 2], { scope });
    const y = await conv2d(infinite, weight, { padding: 2 }).data();
    expect(y.every((value) => value === 0 || value === Number.POSITIVE_INFINITY)).toBe(true);
  });

  it('packs a constant weight once, and keeps nothing of others', async () => {
    using scope = new Scope();
    using constant = tensor(device(), wave([4, 4, 1, 1], 0), [4, 4, 1, 1], { constant: true });
    const variable = tensor(device(), wave([4, 4, 1, 1], 0), [4, 4, 1, 1], { scope });
    using x = tensor(device(), wave([1, 4, 2, 2], 0), [1, 4, 2, 2]);
    const before = device().memory().blocks;
    conv2d(x, variable).dispose();
    expect(device().memory().blocks).toBe(before);
    conv2d(x, constant).dispose();
    const packed = device().memory().blocks;
    expect(packed).toBeGreaterThan(before);
    for (let i = 0; i < 3; i++) conv2d(x, constant).dispose();
    expect(device().memory().blocks).toBe(packed);
    constant.dispose();
    expect(device().memory().blocks).toBe(before);
  });

  it.each([
    ['the input must be [N,C,H,W], not [2, 2]', [2, 2], [1, 1, 1, 1], {}],
    ['the weight must be [out,in/groups,kh,kw], not [1]', [1, 1, 2, 2], [1], {}],
    ['wants 3 input channels, but the input has 2', [1, 2, 2, 2], [1, 3, 1, 1], {}],
    ['with 2 groups wants 4 input channels, but the input has 2', [1, 2, 2, 2], [2, 2, 1, 1], { groups: 2 }],
    ['an input of 2 x 2 is smaller than the 3 x 3 kernel', [1, 1, 2, 2], [1, 1, 3, 3], {}],
    ['conv2d: stride 0 must be an integer of at least 1', [1, 1, 2, 2], [1, 1, 1, 1], { stride: 0 }],
    ['conv2d: padding -1 must be an integer of at least 0', [1, 1, 2, 2], [1, 1, 1, 1], { padding: -1 }],
    ['conv2d: dilation 1.5 must be an integer of at least 1', [1, 1, 2, 2], [1, 1, 1, 1], { dilation: 1.5 }],
    ['conv2d: groups 0 must be 1 or more', [1, 1, 2, 2], [1, 1, 1, 1], { groups: 0 }],
  ])('says: %s', (message, xShape, wShape, options) => {
    using scope = new Scope();
    const blocks = device().memory().blocks;
    const x = tensor(device(), wave(xShape, 0), xShape, { scope });
    const weight = tensor(device(), wave(wShape, 0), wShape, { scope });
    expect(() => conv2d(x, weight, options)).toThrow(message);
    scope.dispose();
    expect(device().memory().blocks).toBe(blocks);
  });

  it('checks the shapes of bias and residual', () => {
    using scope = new Scope();
    const make = (shape: number[]) => tensor(device(), wave(shape, 0), shape, { scope });
    const [x, weight] = [make([1, 1, 2, 2]), make([3, 1, 1, 1])];
    expect(() => conv2d(x, weight, { bias: make([2]) })).toThrow('conv2d: the bias must be [3], not [2]');
    expect(() => conv2d(x, weight, { residual: make([1, 3, 2, 1]) })).toThrow(
      'conv2d: the residual is [1, 3, 2, 1], but the result is [1, 3, 2, 2]',
    );
  });
});

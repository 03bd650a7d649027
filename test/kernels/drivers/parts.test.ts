import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Tape } from '../../../src/autograd/tape.ts';
import { DeviceError, UsageError } from '../../../src/errors.ts';
import {
  adaptiveAvgPool2d,
  add,
  argmax,
  avgPool2d,
  batchNormTraining,
  concat,
  contiguous,
  conv2d,
  createDevice,
  type Device,
  expand,
  logSoftmax,
  matmul,
  max,
  maxPool2d,
  mean,
  mul,
  multiplyAdd,
  pad,
  relu,
  reshape,
  resize,
  slice,
  softmax,
  sum,
  tensor,
  topk,
  transpose,
  warmup,
} from '../../../src/kernels/index.ts';
import { WebGpuDevice } from '../../../src/kernels/webgpu/device.ts';
import { Scope, withScope } from '../../../src/tensor/scope.ts';
import type { Shape } from '../../../src/tensor/shape.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { convolve, expectConvolution, pairOf } from '../../support/convolutions.ts';
import { openPair } from '../../support/device-pair.ts';
import { missing } from '../../support/devices.ts';
import { expectClose, wave } from '../../support/numbers.ts';
import { randomArray, randomModel } from '../../support/random-model.ts';

/* Calls with operands beyond what a shader may see of a buffer. */

/** Relative L2, against sums in double precision. */
const TOLERANCE = 1e-5;

/** One image and the weights fit in 16 KiB, batches do not. */
const batches = fc.record({
  batch: fc.integer({ min: 8, max: 40 }),
  groups: fc.integer({ min: 1, max: 2 }),
  channels: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constantFrom(4, 8)),
  out: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.constantFrom(4, 8)),
  size: pairOf(3, 9),
  kernel: pairOf(1, 3),
  stride: pairOf(1, 2),
  padding: pairOf(0, 1),
  dilation: fc.constant<[number, number]>([1, 1]),
  bias: fc.boolean(),
  residual: fc.boolean(),
  relu: fc.boolean(),
  constant: fc.boolean(),
});
const filtered = batches.map((c) => ({
  ...{ ...c, groups: 1, channels: 4 * Math.ceil(c.channels / 4), out: 4 * Math.ceil(c.out / 4) },
  ...({ kernel: [3, 3], stride: [1, 1], algorithm: 'winograd' } as const),
}));
type Batch = Parameters<typeof convolve>[1];

describe.skipIf(missing)('convolutions in parts', () => {
  const pair = openPair({ maxBindingBytes: 16 * 1024 });
  const kinds: [string, fc.Arbitrary<Batch>][] = [
    ['directly', batches.map((c): Batch => c)],
    ['by minimal filtering', filtered.map((c): Batch => ({ ...c, kernel: [3, 3], stride: [1, 1] }))],
  ];

  it.each(kinds)('agree with the TypeScript kernels, %s', async (_, some) => {
    await fc.assert(
      fc.asyncProperty(some, async (c) => {
        await expectConvolution(await convolve(pair.device, c), pair.oracle, c, TOLERANCE);
      }),
      { numRuns: 6 },
    );
  });
});

/** What is computed of x [N,C,H,W]. */
const ops: Record<string, (x: Tensor) => Tensor> = {
  'a sum with channels': (x) => add(x, slice(x, [0, 0, 0, 0], [1, x.shape[1] ?? 1, 1, 1])),
  'a sum with another layout': (x) =>
    multiplyAdd(x, transpose(contiguous(transpose(x, [3, 1, 0, 2])), [2, 1, 3, 0]), x),
  'a part of it': (x) => relu(slice(x, [1, 0, 0, 0], [...x.shape], [2, 1, 1, 1])),
  'another order': (x) => contiguous(x, [3, 2, 1, 0]),
  'a softmax over channels': (x) => softmax(x, 1),
  'a softmax over rows': (x) => logSoftmax(x, 3),
  'maxima over windows': (x) => maxPool2d(x, { kernel: 3, stride: 2, padding: 1 }),
  'averages over windows': (x) => avgPool2d(x, { kernel: 2, stride: 1 }),
  'averages of few windows': (x) => adaptiveAvgPool2d(x, [2, 3]),
  'a larger image': (x) => resize(x, { size: [13, 11], mode: 'bilinear' }),
  'a smaller image': (x) => resize(x, { size: [3, 4], mode: 'bicubic' }),
  'sums over images': (x) => sum(x, [0]),
  // Of squares, which do not cancel.
  'means of channels': (x) => mean(mul(x, x), [0, 2, 3]),
  'means of all': (x) => mean(mul(x, x)),
  'means of images': (x) => mean(mul(x, x), [1, 2, 3], true),
  'maxima of channels': (x) => max(x, [0, 2, 3]),
  'positions of maxima': (x) => argmax(x, 1),
  'the largest': (x) => topk(x, 2, 1).values,
  'positions of the largest': (x) => topk(x, 2, 3).indices,
  'a product of matrices': (x) => matmul(x, transpose(x, [0, 1, 3, 2])),
  'a product of long matrices': (x) =>
    matmul(reshape(x, [x.shape[0] ?? 1, -1]), transpose(reshape(x, [x.shape[0] ?? 1, -1]))),
  'a product of deep matrices': (x) =>
    matmul(transpose(reshape(contiguous(x), [-1, 8])), reshape(contiguous(x), [-1, 8])),
  'a product with one row': (x) => matmul(slice(reshape(x, [1, -1]), [0, 0], [1, 8]), reshape(contiguous(x), [8, -1])),
  'two of it': (x) => concat([x, mul(x, x)], 1),
  'a frame': (x) => pad(x, [0, 1, 0, 2], [1, 0, 3, 0], 7),
  'normalised channels': (x) => {
    const channels = slice(x, [0, 0, 0, 0], [1, x.shape[1] ?? 1, 1, 1]);
    const running = reshape(channels, [-1]);
    return batchNormTraining(x, { mean: running, variance: mul(running, running) }).y;
  },
};

const images = fc.tuple(
  fc.integer({ min: 9, max: 32 }),
  fc.constantFrom(8, 16),
  fc.integer({ min: 4, max: 9 }),
  fc.integer({ min: 4, max: 9 }),
);

async function computed(device: Device, shape: Shape, op: (x: Tensor) => Tensor): Promise<ArrayLike<number>> {
  return await withScope((scope) => op(tensor(device, wave(shape, 0), shape, { scope })).data());
}

/** The derivatives of an op for two cotangents. */
const derivatives = (op: (x: Tensor) => Tensor) => (x: Tensor) => {
  using tape = new Tape();
  const watched = tape.watch(x);
  const y = op(watched);
  const shape = [2, ...y.shape];
  const cotangent = tensor(x.memory as Device, wave(shape, 1), shape, { scope: x.scope });
  const [dx] = tape.vjp(y, cotangent, [watched]);
  if (!dx) throw new Error('there is no derivative');
  return dx;
};

/** Positions have no derivatives. */
const differentiable = Object.entries(ops).filter(([name]) => !/position/.test(name));

describe.skipIf(missing)('parts of a call', () => {
  const pair = openPair({ maxBindingBytes: 16 * 1024 });
  const compare = async (op: (x: Tensor) => Tensor) => {
    await fc.assert(
      fc.asyncProperty(images, async (shape) => {
        const actual = await computed(pair.device, shape, op);
        expectClose(actual, await computed(pair.oracle, shape, op), TOLERANCE);
      }),
      { numRuns: 2 },
    );
  };

  it.each(Object.entries(ops))('make %s', async (_, op) => {
    await compare(op);
  });

  it.each(differentiable)('make the derivatives of %s', async (_, op) => {
    await compare(derivatives(op));
  });
});

describe.skipIf(missing)('a network in parts', () => {
  // A weight of 64 x 64 x 3 x 3 has 144 KiB, an image 64 KiB after the first layer.
  const pair = openPair({ maxBindingBytes: 160 * 1024 });
  const model = randomModel('resnet20-cifar10');
  const shape = [5, 3, 32, 32];
  const pixels = randomArray(3, shape);

  async function pass(device: Device): Promise<[ArrayLike<number>, ArrayLike<number>]> {
    using scope = new Scope();
    using tape = new Tape();
    const x = tape.watch(tensor(device, pixels, shape, { scope }));
    const logits = model.forward(x);
    const [dx] = tape.vjp(logits, tensor(device, wave([1, 5, 10], 0), [1, 5, 10], { scope }), [x]);
    if (!dx) throw new Error('there is no derivative');
    return [await logits.data(), await dx.data()];
  }

  it('gives the logits and derivatives of the TypeScript kernels', async () => {
    const expected = await pass(pair.oracle);
    const actual = await pass(pair.device);
    for (const [i, name] of (['logits', 'derivatives'] as const).entries()) {
      expectClose(actual[i] ?? [], expected[i] ?? [], 1e-4, name);
    }
    for (const device of [pair.device, pair.oracle]) model.release(device);
  });
});

describe.skipIf(missing)('a device that sees little at once', () => {
  const pair = openPair({ maxBindingBytes: 16 * 1024 });

  it('refuses a call that cannot be divided, and computes on', async () => {
    const { device } = pair;
    using scope = new Scope();
    const image = tensor(device, wave([1, 3, 64, 64], 0), [1, 3, 64, 64], { scope });
    const weight = tensor(device, wave([2, 3, 1, 1], 0), [2, 3, 1, 1], { scope });
    const refuse = () => conv2d(image, weight);
    expect(refuse).toThrow(DeviceError);
    expect(refuse).toThrow(
      /^conv2d\/.*: an operand of 49152 bytes is beyond the 16384 bytes .*; use a smaller image or batch, or the device cpu$/,
    );
    expect((await relu(image).data()).length).toBe(3 * 64 * 64);
  });

  it('makes no bind group twice for work of the same shape', async () => {
    const { device } = pair;
    if (!(device instanceof WebGpuDevice)) throw new Error('it is no WebGPU device');
    const work = () => computed(device, [24, 8, 9, 9], (x) => maxPool2d(mul(x, x), { kernel: 2 }));
    await work();
    await work();
    const made = vi.spyOn(device.gpu, 'createBindGroup');
    await work();
    expect(made).not.toHaveBeenCalled();
    made.mockRestore();
  });

  it('compiles ahead what parts need', async () => {
    const device = await createDevice('webgpu', { maxBindingBytes: 16 * 1024 });
    if (!(device instanceof WebGpuDevice)) throw new Error('it is no WebGPU device');
    const work = async (on: Device) => {
      await computed(on, [24, 8, 9, 9], (x) => sum(maxPool2d(concat([x, x], 1), { kernel: 2 }), [0]));
    };
    await warmup(device, work);
    const atOnce = vi.spyOn(device.gpu, 'createComputePipeline');
    await work(device);
    expect(atOnce).not.toHaveBeenCalled();
    device.destroy();
  });

  it('refuses a tensor beyond the largest buffer before anything is recorded', async () => {
    const { device } = pair;
    if (!(device instanceof WebGpuDevice)) throw new Error('it is no WebGPU device');
    const recorded = vi.spyOn(device.gpu, 'createCommandEncoder');
    using x = tensor(device, [1], [1, 1]);
    using large = expand(x, [2 ** 20, 2 ** 20]);
    expect(() => relu(large)).toThrow(DeviceError);
    expect(() => relu(large)).toThrow(/largest buffer of this adapter, \d+ bytes; use a smaller image or batch/);
    expect(recorded).not.toHaveBeenCalled();
  });

  it.each([0, 255, 1000.5, 2 ** 50])('refuses maxBindingBytes %d', async (maxBindingBytes) => {
    const opened = createDevice('webgpu', { maxBindingBytes });
    await expect(opened).rejects.toThrow(UsageError);
    await expect(opened).rejects.toThrow(/^maxBindingBytes .*: use a whole number from 256 to \d+ on this adapter$/);
  });
});

describe.skipIf(missing)('a tensor beyond 128 MiB', () => {
  const MiB = 2 ** 20;
  const pair = openPair({ maxBindingBytes: 128 * MiB });

  it('is computed in parts', async () => {
    const [rows, columns] = [34, MiB];
    using x = tensor(
      pair.device,
      Float32Array.from({ length: rows }, (_, i) => i - 1),
      [rows, 1],
    );
    using wide = expand(x, [rows, columns]);
    using y = relu(wide);
    using column = slice(y, [0, columns - 1], [rows, columns]);
    using last = contiguous(column);
    expect(Array.from(await last.data())).toEqual(Array.from({ length: rows }, (_, i) => Math.max(i - 1, 0)));
  });
});

import fc from 'fast-check';
import { type Algorithm, convShape } from '../../src/kernels/conv2d/geometry.ts';
import {
  conv2dDefinition,
  conv2dInputGradientDefinition,
  conv2dWeightGradientDefinition,
} from '../../src/kernels/conv2d/index.ts';
import type { Device } from '../../src/kernels/device.ts';
import { conv2d, tensor } from '../../src/kernels/index.ts';
import { applySingle } from '../../src/kernels/op.ts';
import { denseLayout } from '../../src/tensor/layout.ts';
import { Scope } from '../../src/tensor/scope.ts';
import type { Shape } from '../../src/tensor/shape.ts';
import { expectSums, magnitudes, wave } from './numbers.ts';

export const pairOf = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

/** Convolutions of all kinds, with fused additions. */
export const convolutions = fc
  .record({
    batch: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
    channels: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 60, max: 100 })),
    out: fc.integer({ min: 1, max: 19 }),
    size: pairOf(1, 11),
    kernel: pairOf(1, 4),
    stride: pairOf(1, 3),
    padding: pairOf(0, 4),
    dilation: pairOf(1, 3),
    bias: fc.boolean(),
    residual: fc.boolean(),
    relu: fc.boolean(),
    constant: fc.boolean(),
  })
  .filter(({ size, kernel, padding, dilation }) =>
    ([0, 1] as const).every((axis) => size[axis] + 2 * padding[axis] > dilation[axis] * (kernel[axis] - 1)),
  );

export type Convolution = typeof convolutions extends fc.Arbitrary<infer T> ? T & { algorithm?: Algorithm } : never;

/** Those that the algorithm of Winograd can do. */
export const winograd = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  groups: fc.constant(1),
  channels: fc.oneof(fc.constantFrom(4, 8, 12), fc.constantFrom(64, 100)),
  out: fc.constantFrom(4, 8, 12, 20),
  size: pairOf(3, 14),
  kernel: fc.constant<[number, number]>([3, 3]),
  stride: fc.constant<[number, number]>([1, 1]),
  padding: pairOf(0, 4),
  dilation: fc.constant<[number, number]>([1, 1]),
  bias: fc.boolean(),
  residual: fc.boolean(),
  relu: fc.boolean(),
  constant: fc.boolean(),
  algorithm: fc.constant<'winograd'>('winograd'),
});

/** Those whose patches can be multiplied. */
export const patches = fc
  .tuple(convolutions, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 70 }))
  .map(([c, channels, out]) => ({
    ...{ ...c, groups: 1, channels, out, algorithm: 'patches' as const },
    dilation: [c.dilation[0], 1] satisfies [number, number],
  }));

/** A convolution and its gradients; that of the input the second time, with what was packed the first time. */
export async function convolve(device: Device, c: Convolution, values = wave) {
  using scope = new Scope();
  const { stride, padding, dilation, groups, size, constant } = c;
  const make = (shape: Shape, phase: number) => tensor(device, values(shape, phase), shape, { scope });
  const x = make([c.batch, groups * c.channels, ...size], 0);
  const weightShape = [groups * c.out, c.channels, ...c.kernel];
  using weight = tensor(device, values(weightShape, 1), weightShape, { constant });
  const options = { stride, padding, dilation, groups };
  const { bias, residual } = c;
  const { shape } = conv2d(x, weight, options);
  const how = { ...options, ...(c.algorithm && { algorithm: c.algorithm }) };
  const inputs = [x, weight, ...(bias ? [make([groups * c.out], 2)] : []), ...(residual ? [make(shape, 3)] : [])];
  const y = applySingle(conv2dDefinition, inputs, { ...how, bias, residual, activation: c.relu ? 'relu' : 'none' });
  const gradient = () => applySingle(conv2dInputGradientDefinition, [make(shape, 4), weight], { ...how, size });
  gradient();
  return { y: await y.data(), dx: await gradient().data(), dw: await weightGradient(device, c, values) };
}

/** The gradients of two scores with respect to the weight. */
export async function weightGradient(device: Device, c: Convolution, values = wave) {
  using scope = new Scope();
  const { stride, padding, dilation, groups, size, kernel } = c;
  const make = (shape: Shape, phase: number) => tensor(device, values(shape, phase), shape, { scope });
  const x = make([c.batch, groups * c.channels, ...size], 0);
  const geometry = { stride, padding, dilation, groups };
  const shape = convShape(x, { ...denseLayout([groups * c.out, c.channels, ...kernel]), dtype: 'float32' }, geometry);
  const inputs = [x, make([2, ...shape], 5)];
  return await applySingle(conv2dWeightGradientDefinition, inputs, { ...geometry, kernel }).data();
}

/** Fails unless a device computes a convolution and its gradients as another one does. */
export async function expectConvolution(
  actual: Awaited<ReturnType<typeof convolve>>,
  oracle: Device,
  c: Convolution,
  tolerance: number,
  values = wave,
): Promise<void> {
  const expected = await convolve(oracle, c, values);
  const scale = await convolve(oracle, { ...c, relu: false }, magnitudes);
  for (const key of ['y', 'dx', 'dw'] as const) {
    expectSums(actual[key], expected[key], scale[key], tolerance, key);
  }
}

import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { conv2dInputGradientDefinition } from '../../../src/kernels/conv2d/index.ts';
import { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import { HeapBlock } from '../../../src/kernels/cpu/heap.ts';
import { CPU_KERNELS, type CpuKernels, chooseKernels, hasRelaxedSimd } from '../../../src/kernels/cpu/wasm/kernels.ts';
import { add, concat, conv2d, multiplyAdd, multiplyAddRelu, tensor } from '../../../src/kernels/index.ts';
import { applySingle } from '../../../src/kernels/op.ts';
import { CHANNELS_LAST } from '../../../src/tensor/layout.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import { type Shape, sizeOf } from '../../../src/tensor/shape.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { expectClose } from '../../support/numbers.ts';

// As the command does; Node 20 has relaxed SIMD behind this flag.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');

/** Relative L2, against sums in double precision. Sums that nearly cancel lose digits, so that this is above rounding. */
const TOLERANCE = 1e-5;

/** Irregular, so that sums do not cancel. */
const wave = (shape: Shape, phase: number) =>
  Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(1.7 * i * i + phase));

const pairOf = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));

const convolutions = fc
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
type Convolution = typeof convolutions extends fc.Arbitrary<infer T> ? T : never;

/** A convolution and its input gradient, the second time with what was packed the first time. */
async function run(device: CpuDevice, c: Convolution) {
  using scope = new Scope();
  const { stride, padding, dilation, groups, size, constant } = c;
  const make = (shape: Shape, phase: number) => tensor(device, wave(shape, phase), shape, { scope });
  const x = make([c.batch, groups * c.channels, ...size], 0);
  const weightShape = [groups * c.out, c.channels, ...c.kernel];
  using weight = tensor(device, wave(weightShape, 1), weightShape, { constant });
  const options = { stride, padding, dilation, groups };
  const shape = conv2d(x, weight, options).shape;
  const y = conv2d(x, weight, {
    ...options,
    bias: c.bias ? make([groups * c.out], 2) : undefined,
    residual: c.residual ? make(shape, 3) : undefined,
    activation: c.relu ? 'relu' : 'none',
  });
  const gradient = () => applySingle(conv2dInputGradientDefinition, [make(shape, 4), weight], { ...options, size });
  gradient();
  return { shape, y: await y.data(), dx: await gradient().data() };
}

describe.each(['wasm', 'wasm-relaxed'] as const)('the %s kernels', (kernels: CpuKernels) => {
  let device: CpuDevice;
  let oracle: CpuDevice;
  beforeAll(() => {
    device = new CpuDevice({ kernels });
    oracle = new CpuDevice({ kernels: 'typescript' });
  });
  afterAll(() => {
    expect(device.memory().live, 'bytes left on the device').toBe(0);
    device.destroy();
    oracle.destroy();
  });

  it('convolve and propagate gradients as the TypeScript kernels do', async () => {
    await fc.assert(
      fc.asyncProperty(convolutions, async (c) => {
        const [actual, expected] = [await run(device, c), await run(oracle, c)];
        expectClose(actual.y, expected.y, TOLERANCE, 'y');
        expectClose(actual.dx, expected.dx, TOLERANCE, 'dx');
      }),
      { numRuns: 60 },
    );
  });

  it('keep the rounding of long sums within 3e-7', async () => {
    using scope = new Scope();
    const [channels, out] = [2048, 8];
    const sums = await Promise.all(
      [device, oracle].map((on) => {
        const x = tensor(on, wave([1, channels, 5, 5], 0).map(Math.abs), [1, channels, 5, 5], { scope });
        const weight = tensor(on, wave([out, channels, 3, 3], 1).map(Math.abs), [out, channels, 3, 3], { scope });
        return conv2d(x, weight).data();
      }),
    );
    expectClose(sums[0] ?? [], sums[1] ?? [], 3e-7);
  });

  it('add, normalise and concatenate as the TypeScript kernels do, bit for bit', async () => {
    const shapes = fc.record({
      shape: fc.tuple(...[3, 19, 4, 4].map((max) => fc.integer({ min: 1, max }))),
      broadcast: fc.tuple(...[0, 1, 2, 3].map(() => fc.boolean())),
      other: fc.integer({ min: 1, max: 9 }),
      order: fc.constantFrom(CHANNELS_LAST, [0, 1, 2, 3]),
      axis: fc.integer({ min: 0, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ shape, broadcast, other, order, axis }) => {
        const compute = (on: CpuDevice) => {
          using scope = new Scope();
          const make = (of: Shape, phase: number) => tensor(on, wave(of, phase), of, { scope, order });
          const a = make(shape, 0);
          const stretched = shape.map((size, k) => (broadcast[k] ? 1 : size));
          const [b, c] = [make(stretched, 1), make(stretched, 2)];
          const longer = shape.map((size, k) => (k === axis ? other : size));
          const joined = concat([a, make(longer, 3), a], axis);
          const results = [add(a, c), multiplyAdd(a, b, c), multiplyAddRelu(a, b, c), joined];
          return Promise.all(results.map((result) => result.data()));
        };
        expect(await compute(device)).toEqual(await compute(oracle));
      }),
      { numRuns: 100 },
    );
  });

  it.each([3, 4])('let a NaN and an infinity come through when they normalise %i channels', async (channels) => {
    using scope = new Scope();
    const values = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 2].slice(0, channels);
    const x = tensor(device, values, [1, channels, 1, 1], { scope });
    const one = tensor(device, new Float32Array(channels).fill(1), [channels, 1, 1], { scope });
    expect(Array.from(await multiplyAdd(x, one, one).data())).toEqual(values.map((v) => v + 1));
    expect(Array.from(await multiplyAddRelu(x, one, one).data())).toEqual(values.map((v) => Math.max(v + 1, 0)));
  });

  it.each([9, 3])('let a NaN come through the ReLU, in a column of a panel of %i', async (out) => {
    using scope = new Scope();
    const x = tensor(device, [Number.NaN, -1], [1, 1, 1, 2], { scope });
    const weight = tensor(device, new Float32Array(out).fill(1), [out, 1, 1, 1], { scope });
    const y = await conv2d(x, weight, { activation: 'relu' }).data();
    expect(Array.from(y)).toEqual(Array.from({ length: out }, () => [Number.NaN, 0]).flat());
  });

  it('write nothing beside their result', async () => {
    using scope = new Scope();
    using weight = tensor(device, wave([11, 3, 1, 1], 0), [11, 3, 1, 1], { constant: true });
    const x = tensor(device, wave([1, 3, 4, 4], 0), [1, 3, 4, 4], { scope, order: CHANNELS_LAST });
    conv2d(x, weight);
    // 4 x 4 pixels of 11 columns end at the end of their block, and in the middle of a tile and of a panel.
    const guard = (size: number) => tensor(device, new Float32Array(size).fill(7), [size], { scope });
    const [before, hole, behind] = [guard(16), guard(11 * 4 * 4), guard(16)];
    const place = startOf(hole);
    hole.dispose();
    expect(startOf(conv2d(x, weight))).toBe(place);
    expect([...(await before.data()), ...(await behind.data())]).toEqual(new Array(32).fill(7));
  });
});

function startOf({ storage: { block } }: Tensor): number {
  return block instanceof HeapBlock ? block.start : Number.NaN;
}

describe('without shared memory', () => {
  it('the same module runs in a memory of its own, and follows it when it grows', async () => {
    const { Memory } = WebAssembly;
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.shared) throw new TypeError('shared memory is not allowed');
        super(descriptor);
      }
    };
    const device = new CpuDevice({ kernels: 'wasm' });
    WebAssembly.Memory = Memory;
    using scope = new Scope();
    const x = tensor(device, new Float32Array(3e6).fill(1), [1, 3, 1000, 1000], { scope });
    const weight = tensor(device, [1, 2, 3], [1, 3, 1, 1], { scope });
    const y = await conv2d(x, weight).data();
    expect(y.every((value) => value === 6)).toBe(true);
  });
});

describe('the choice of kernels', () => {
  it('is the fastest that the host runs', () => {
    expect(chooseKernels()).toBe(CPU_KERNELS.at(-1));
  });

  it.each(CPU_KERNELS)('can be forced to %s by the environment', (kernels) => {
    vi.stubEnv('FMGCAM_CPU_KERNELS', kernels);
    using device = new CpuDevice();
    vi.unstubAllEnvs();
    expect(device.kernels).toBe(kernels);
  });

  it('is TypeScript where there is no SIMD, and says so when asked for more', () => {
    const validate = vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    expect(chooseKernels()).toBe('typescript');
    expect(() => chooseKernels('wasm')).toThrow('this host cannot run the wasm kernels; use typescript');
    validate.mockRestore();
  });

  it('refuses names that it does not know', () => {
    expect(() => chooseKernels('fortran')).toThrow(
      'CPU kernels "fortran" are unknown; use typescript, wasm, wasm-relaxed',
    );
  });
});

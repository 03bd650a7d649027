import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import * as built from 'fm-g-cam';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import {
  conv2d,
  createDevice,
  type Device,
  type DeviceOptions,
  linear,
  tensor,
  transpose,
} from '../../../src/kernels/index.ts';
import { matmulDefinition } from '../../../src/kernels/matmul/index.ts';
import { SHADERS } from '../../../src/kernels/matmul/wgsl.ts';
import { applySingle } from '../../../src/kernels/op.ts';
import { openTilings } from '../../../src/kernels/tuning/tune.ts';
import { findAdapter } from '../../../src/kernels/webgpu/adapter.ts';
import { TILINGS } from '../../../src/kernels/webgpu/tiles.ts';
import { loadModel } from '../../../src/nn/model.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import type { Shape } from '../../../src/tensor/shape.ts';
import {
  type Convolution,
  convolutions,
  convolve,
  expectConvolution,
  patches,
  weightGradient,
  winograd,
} from '../../support/convolutions.ts';
import { type DevicePair, openPair } from '../../support/device-pair.ts';
import { missing } from '../../support/devices.ts';
import { expectSums, magnitudes, relativeError, wave } from '../../support/numbers.ts';
import { expectResults } from '../../support/smoke-check.ts';
import { runCases } from '../../support/smoke-kernels.ts';

/** Relative L2, against sums in double precision. */
const TOLERANCE = 1e-5;

/** Channels that are read and written one at a time. */
const odd = convolutions.map((c) => ({ ...c, channels: c.channels | 1, out: c.out | 1 }));
/** Channels that are read and written four at a time, in several tiles of each size. */
const multiplesOfFour = convolutions.map((c) => ({ ...c, channels: 4 * Math.ceil(c.channels / 4), out: 8 * c.out }));

/** Stacks of matrices; their rows, columns and depth are multiples of four or not. */
const products = fc.record({
  batch: fc.integer({ min: 1, max: 3 }),
  sharedB: fc.boolean(),
  transposed: fc.boolean(),
  rows: fc.integer({ min: 1, max: 70 }),
  depth: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(16, 64)),
  columns: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(16, 64)),
});
type Product = typeof products extends fc.Arbitrary<infer T> ? T : never;

async function multiply(device: Device, { batch, sharedB, transposed, rows, depth, columns }: Product, values = wave) {
  using scope = new Scope();
  const make = (shape: Shape, phase: number) => tensor(device, values(shape, phase), shape, { scope });
  const a = make([batch, rows, depth], 0);
  const b = transposed ? transpose(make([columns, depth], 1)) : make([...(sharedB ? [] : [batch]), depth, columns], 1);
  return await applySingle(matmulDefinition, [a, b], { shader: 'tiling' }).data();
}

async function expectProduct({ device, oracle }: DevicePair, c: Product): Promise<void> {
  const [actual, expected] = [await multiply(device, c), await multiply(oracle, c)];
  expectSums(actual, expected, await multiply(oracle, c, magnitudes), TOLERANCE);
}

describe.skipIf(missing).each(TILINGS)('tiles %s', (tiles) => {
  const pair = openPair({ tiles });

  // Larger tiles take long to compile, and single channels are read and written in the same way with all.
  const channels = /64/.test(tiles) ? { multiplesOfFour } : { multiplesOfFour, odd };
  it.each(Object.entries(channels))('compute convolutions as the TypeScript kernels do: %s', async (_, some) => {
    await fc.assert(
      fc.asyncProperty(some, async (c) => {
        await expectConvolution(await convolve(pair.device, c), pair.oracle, c, TOLERANCE);
      }),
      { numRuns: 6 },
    );
  });

  it('compute matrix products as the TypeScript kernels do', async () => {
    await fc.assert(
      fc.asyncProperty(products, async (c) => {
        await expectProduct(pair, c);
      }),
      { numRuns: 8 },
    );
  });
});

/** Rows and channels in vectors or not, each in several tiles. */
const mixed = fc.tuple(convolutions, fc.boolean(), fc.boolean()).map(([c, vectorRows, vectorColumns]) => ({
  ...c,
  channels: vectorRows ? 4 * Math.ceil(c.channels / 4) : c.channels | 1,
  out: vectorColumns ? 8 * c.out : (7 * c.out) | 1,
}));

describe.skipIf(missing).each(TILINGS)('gradients of weights in tiles %s, in three parts', (tiles) => {
  const pair = openPair({ tiles, splits: 3 });

  it('agree with the TypeScript kernels', async () => {
    await fc.assert(
      fc.asyncProperty(/64/.test(tiles) ? multiplesOfFour : mixed, async (c) => {
        const [actual, expected] = [await weightGradient(pair.device, c), await weightGradient(pair.oracle, c)];
        expectSums(actual, expected, await weightGradient(pair.oracle, c, magnitudes), TOLERANCE);
      }),
      { numRuns: 8 },
    );
  });
});

describe.skipIf(missing).each<[string, DeviceOptions]>([
  ['products of split depth in tiles register', { tiles: 'register', splits: 3 }],
  ['products of split depth in tiles workgroup-32x32', { tiles: 'workgroup-32x32', splits: 3 }],
  ['the kernels that suit hardware', { software: false }],
  ['those in tiles register', { software: false, tiles: 'register' }],
  ['those in tiles subgroup', { software: false, tiles: 'subgroup' }],
])('%s', (_, options) => {
  const pair = openPair(options);

  it('agree with the TypeScript kernels', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(multiplesOfFour, odd, winograd), products, async (c, product) => {
        await expectConvolution(await convolve(pair.device, c), pair.oracle, c, TOLERANCE);
        await expectProduct(pair, product);
      }),
      { numRuns: 8 },
    );
  });
});

describe.skipIf(missing).each([
  ['the algorithm of Winograd', winograd],
  ['products of patches', patches],
] as const)('convolutions by %s', (_, some) => {
  const pair = openPair();

  it('agree with the TypeScript kernels', async () => {
    await fc.assert(
      fc.asyncProperty<[Convolution]>(some, async (c) => {
        await expectConvolution(await convolve(pair.device, c), pair.oracle, c, TOLERANCE);
      }),
      { numRuns: 12 },
    );
  });
});

/** Numbers that half precision has. */
const halves: typeof wave = (shape, phase) => wave(shape, phase).map((value) => Math.round(1024 * value) / 1024);

describe.skipIf(missing)('weights in half precision', () => {
  // Larger tiles read them in the same way.
  it.each(['register', 'subgroup', 'workgroup-32x32'] as const)(
    'are those that they were rounded to, in tiles %s',
    async (tiles) => {
      const device = await openHalves({ tiles });
      if (!device) return;
      const oracle = new CpuDevice({ kernels: 'typescript' });
      const depthwise = convolutions.map((c) => ({ ...c, groups: 4 * c.groups, channels: 1, out: 1 }));
      await fc.assert(
        fc.asyncProperty(fc.oneof(multiplesOfFour, odd, depthwise), fc.boolean(), async (some, constant) => {
          const c = { ...some, constant };
          await expectConvolution(await convolve(device, c, halves), oracle, c, TOLERANCE, halves);
        }),
        { numRuns: 5 },
      );
      expect(device.memory().blocks, 'blocks left on the device').toBe(0);
      device.destroy();
      oracle.destroy();
    },
  );

  it('are off by 1/2048 of themselves at the most', async () => {
    const device = await openHalves({});
    if (!device) return;
    const oracle = new CpuDevice({ kernels: 'typescript' });
    await fc.assert(
      fc.asyncProperty<[Convolution]>(fc.oneof(multiplesOfFour, odd, patches), async (some) => {
        const c = { ...some, constant: true };
        await expectConvolution(await convolve(device, c), oracle, c, 2 ** -11 + TOLERANCE);
      }),
      { numRuns: 6 },
    );
    device.destroy();
    oracle.destroy();
  });

  it('are rounded once, where they do not change', async () => {
    const device = await openHalves({ tiles: 'register' });
    if (!device) return;
    using scope = new Scope();
    const values = [1 + 2 ** -12, 3 + 2 ** -8];
    const x = tensor(device, [1, 1], [1, 2, 1, 1], { scope });
    const rows = tensor(device, [1, 1], [1, 2], { scope });
    for (const constant of [true, false]) {
      using weight = tensor(device, values, [1, 2, 1, 1], { constant });
      using matrix = tensor(device, values, [1, 2], { constant });
      const sum = constant ? 4 + 2 ** -8 : 4 + 2 ** -8 + 2 ** -12;
      expect(await conv2d(x, weight).item()).toBe(sum);
      expect(await linear(rows, matrix).item()).toBe(sum);
      for (const shader of SHADERS) {
        expect(await applySingle(matmulDefinition, [rows, transpose(matrix)], { shader }).item(), shader).toBe(sum);
      }
    }
    device.destroy();
  });

  it.each<DeviceOptions>([{}, { algorithm: 'direct' }, { software: false }])(
    'change the logits of a network by less than a thousandth: %o',
    async (options) => {
      const device = await openHalves(options);
      if (!device) return;
      const oracle = new CpuDevice({ kernels: 'typescript' });
      const model = loadModel(
        'resnet-scenes',
        readFileSync(new URL('../../../models/resnet-scenes.safetensors', import.meta.url)),
      );
      const logits = async (on: Device) => {
        using scope = new Scope();
        const shape = [1, 3, 96, 96];
        using y = model.forward(tensor(on, wave(shape, 0), shape, { scope }));
        return await y.data();
      };
      const error = relativeError(await logits(device), await logits(oracle));
      expect(error).toBeLessThan(1e-3);
      expect(error, 'the weights are rounded').toBeGreaterThan(1e-5);
      model.release(device);
      expect(device.memory().blocks, 'blocks left on the device').toBe(0);
      device.destroy();
      oracle.destroy();
    },
  );

  it('are not those that tuning tries tilings on, which would reject them all', async () => {
    const device = await openHalves({});
    if (!device) return;
    device.destroy();
    vi.stubEnv('FMGCAM_STORAGE', 'f16');
    try {
      const devices = [...(await openTilings()).values()];
      expect(devices.map(({ target }) => target.storage)).toEqual(devices.map(() => 'f32'));
      for (const device of devices) device.destroy();
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

/** Undefined on an adapter that refuses it as it should. */
async function openHalves(options: DeviceOptions): Promise<Device | undefined> {
  const search = await findAdapter();
  if (!search.found) throw new Error(search.reason);
  const possible = search.adapter.features.has('shader-f16');
  search.release();
  if (possible) return createDevice('webgpu', { ...options, storage: 'f16' });
  await expect(createDevice('webgpu', { ...options, storage: 'f16' })).rejects.toThrow('it has no shader-f16; use');
  return undefined;
}

describe.skipIf(missing)('a WebGPU device', () => {
  it.each([
    ['FMGCAM_TILES', 'tiles "square" are unknown; use register, subgroup, '],
    ['FMGCAM_ALGORITHM', 'algorithm "square" is unknown; use direct, winograd or patches'],
    ['FMGCAM_SPLITS', 'splits "square": use a whole number from 1 to 64'],
    ['FMGCAM_STORAGE', 'storage "square" is unknown; use f32 or f16'],
    ['FMGCAM_SHAPES', 'shapes "square" is unknown; use any or one'],
  ])('is told what to do by %s', async (name, message) => {
    vi.stubEnv(name, 'square');
    try {
      await expect(createDevice('webgpu')).rejects.toThrow(message);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

/** What compiles in some seconds: a compiler that knows the shape unrolls loops, and takes ten times as long. */
const CASES = [
  'conv2d of single channels',
  'matmul split over the depth',
  'pointwise',
  'resize',
  'softmax',
  'maxPool2d',
];

describe.skipIf(missing)('kernels of one shape', () => {
  let device: built.Device;
  let oracle: built.Device;
  beforeAll(async () => {
    device = await built.createDevice('webgpu', { shapes: 'one' });
    oracle = await built.createDevice('cpu', { precision: 'exact' });
    return () => {
      device.destroy();
      oracle.destroy();
    };
  });

  it.each(CASES)('agree with the CPU: %s', async (name) => {
    expectResults(await runCases(device, [name]), await runCases(oracle, [name]));
  });
});

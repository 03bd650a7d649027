import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createDevice, type Device, type DeviceOptions, tensor, transpose } from '../../../src/kernels/index.ts';
import { matmulDefinition } from '../../../src/kernels/matmul/index.ts';
import { applySingle } from '../../../src/kernels/op.ts';
import { TILINGS } from '../../../src/kernels/webgpu/tiles.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import type { Shape } from '../../../src/tensor/shape.ts';
import { convolutions, convolve, expectConvolution, winograd } from '../../support/convolutions.ts';
import { type DevicePair, openPair } from '../../support/device-pair.ts';
import { missing } from '../../support/devices.ts';
import { expectSums, magnitudes, wave } from '../../support/numbers.ts';

/** Relative L2, against sums in double precision. */
const TOLERANCE = 1e-5;

/** Channels that are read and written one at a time. */
const odd = convolutions.map((c) => ({ ...c, channels: c.channels | 1, out: c.out | 1 }));
/** Channels that are read and written four at a time, in several tiles of each size. */
const multiplesOfFour = convolutions.map((c) => ({ ...c, channels: 4 * Math.ceil(c.channels / 4), out: 8 * c.out }));

describe.skipIf(missing).each(TILINGS)('convolutions in tiles %s', (tiles) => {
  const pair = openPair({ tiles });

  // Larger tiles take long to compile, and single channels are read and written in the same way with all.
  const channels = /64/.test(tiles) ? { multiplesOfFour } : { multiplesOfFour, odd };
  it.each(Object.entries(channels))('agree with the TypeScript kernels: %s', async (_, some) => {
    await fc.assert(
      fc.asyncProperty(some, async (c) => {
        await expectConvolution(await convolve(pair.device, c), pair.oracle, c, TOLERANCE);
      }),
      { numRuns: 6 },
    );
  });
});

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

describe.skipIf(missing).each(TILINGS)('matrix products in tiles %s', (tiles) => {
  const pair = openPair({ tiles });

  it('agree with the TypeScript kernels', async () => {
    await fc.assert(
      fc.asyncProperty(products, async (c) => {
        await expectProduct(pair, c);
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

describe.skipIf(missing)('convolutions by the algorithm of Winograd', () => {
  const pair = openPair();

  it('agree with the TypeScript kernels', async () => {
    await fc.assert(
      fc.asyncProperty(winograd, async (c) => {
        await expectConvolution(await convolve(pair.device, c), pair.oracle, c, TOLERANCE);
      }),
      { numRuns: 12 },
    );
  });
});

describe.skipIf(missing)('a WebGPU device', () => {
  it.each([
    ['FMGCAM_TILES', 'tiles "square" are unknown; use register, subgroup, '],
    ['FMGCAM_ALGORITHM', 'algorithm "square" is unknown; use direct or winograd'],
    ['FMGCAM_SPLITS', 'splits "square": use a whole number from 1 to 64'],
  ])('is told what to do by %s', async (name, message) => {
    vi.stubEnv(name, 'square');
    try {
      await expect(createDevice('webgpu')).rejects.toThrow(message);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

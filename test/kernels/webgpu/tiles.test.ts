import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceFacts } from '../../../src/kernels/webgpu/facts.ts';
import { WORKGROUP, workgroupGrid } from '../../../src/kernels/webgpu/program.ts';
import {
  chooseSplits,
  chooseTiling,
  countTiles,
  obstacle,
  requireTiling,
  TILINGS,
  type Tiles,
  tilesOf,
  weightGradientTilesOf,
} from '../../../src/kernels/webgpu/tiles.ts';
import { gpu, lavapipe } from '../../support/adapter-facts.ts';

const subgroups = fc
  .tuple(fc.constantFrom(4, 8, 16, 32, 64), fc.constantFrom(1, 2, 4))
  .map(([min, times]) => ({ min, max: Math.min(128, min * times) }));
/** Limits of WebGPU's compatibility mode, its defaults, and more. */
const adapters: fc.Arbitrary<DeviceFacts> = fc.record({
  software: fc.boolean(),
  subgroups: fc.option(subgroups, { nil: undefined }),
  workgroupThreads: fc.constantFrom(128, 256, 1024),
  workgroupBytes: fc.constantFrom(8192, 16384, 32768),
});
const sizes = fc.record({
  groups: fc.integer({ min: 1, max: 64 }),
  channels: fc.integer({ min: 1, max: 2048 }),
  pixels: fc.integer({ min: 1, max: 1e6 }),
  depth: fc.integer({ min: 1, max: 1e5 }),
  weightGradient: fc.boolean(),
});

describe('the tiling of a matrix product', () => {
  it('is always one that the adapter can run', () => {
    fc.assert(
      fc.property(adapters, sizes, (facts, size) => {
        expect(obstacle(chooseTiling(facts, size).tiling, facts)).toBeUndefined();
      }),
    );
  });

  it.each([
    ['subgroup', lavapipe, { groups: 1, channels: 64, pixels: 3136, depth: 576 }],
    ['register', { ...lavapipe, subgroups: undefined }, { groups: 1, channels: 64, pixels: 3136, depth: 576 }],
    ['workgroup-128x64', gpu, { groups: 1, channels: 256, pixels: 200 * 200, depth: 576 }],
    ['workgroup-64x64', gpu, { groups: 1, channels: 64, pixels: 128 * 64, depth: 576 }],
    ['workgroup-32x32', gpu, { groups: 1, channels: 512, pixels: 49, depth: 576 }],
    ['workgroup-32x32', gpu, { groups: 1, channels: 24, pixels: 200 * 200, depth: 576 }],
    ['register', gpu, { groups: 32, channels: 4, pixels: 3136, depth: 576 }],
    ['workgroup-64x64', { ...gpu, workgroupBytes: 8192 }, { groups: 1, channels: 256, pixels: 200 * 200, depth: 576 }],
    ['register', { ...gpu, workgroupBytes: 2048 }, { groups: 1, channels: 256, pixels: 200 * 200, depth: 576 }],
  ] as const)('is %s', (tiling, facts, size) => {
    expect(chooseTiling(facts, size)).toEqual({
      tiling,
      reason: expect.stringMatching(/^a (software driver|hardware GPU)/),
    });
  });

  it('is the one that was asked for', () => {
    const target = { ...gpu, tiling: requireTiling('register', gpu) };
    expect(chooseTiling(target, { groups: 1, channels: 8, pixels: 8, depth: 576 })).toEqual({
      tiling: 'register',
      reason: 'asked for',
    });
  });

  it.each([
    ['tiles "huge" are unknown; use register, subgroup, workgroup-32x32, ', 'huge', gpu],
    [
      'cannot run the tiles subgroup: it has no subgroups; use register, ',
      'subgroup',
      { ...gpu, subgroups: undefined },
    ],
    ['8192 of 12288 bytes of workgroup memory; use register, ', 'workgroup-128x64', { ...gpu, workgroupBytes: 8192 }],
    [
      '256 threads are more than the 128 it can run',
      'subgroup',
      { ...gpu, workgroupThreads: 128, subgroups: { min: 4, max: 256 } },
    ],
  ] as const)('says: %s', (message, tiling, facts) => {
    expect(() => requireTiling(tiling, facts)).toThrow(message);
  });

  it('covers every sum', () => {
    fc.assert(
      fc.property(adapters, sizes, (facts, size) => {
        const { tiling } = chooseTiling(facts, size);
        const tiles = size.weightGradient ? weightGradientTilesOf(tiling, facts) : tilesOf(tiling, facts, size);
        const { channelTiles, pixelTiles, tiles: count } = countTiles(tiles, size);
        expect(channelTiles * tiles.channels * tiles.down).toBeGreaterThanOrEqual(size.channels);
        expect(pixelTiles * tiles.pixels * tiles.across).toBeGreaterThanOrEqual(size.pixels);
        const [x, y, z] = workgroupGrid(count);
        expect(x * y * z).toBeGreaterThanOrEqual(count);
        expect(Math.max(x, y, z)).toBeLessThanOrEqual(65535);
      }),
    );
  });
});

describe('the tile of a subgroup on a CPU', () => {
  const narrow = { ...lavapipe, subgroups: { min: 4, max: 4 } };
  const product = (pixels: number) => ({ groups: 1, channels: 64, pixels, depth: 576 });

  it.each([
    [112, 14, 7],
    [56, 14, 7],
    [28, 14, 7],
    [14, 7, 7],
    [7, 14, 7],
    [5, 7, 4],
  ])(
    'leaves few pixels over in images of %s across: %s with vectors of four numbers, %s with others',
    (size, ...pixels) => {
      const tiles = [narrow, lavapipe].map((facts) => tilesOf('subgroup', facts, product(size ** 2)));
      expect(tiles.map(({ pixels }) => pixels)).toEqual(pixels);
      expect(tiles).toMatchObject([
        { channels: 32, across: 4, lanes: 4 },
        { channels: 16, across: 8, lanes: 8 },
      ]);
    },
  );

  it('has others beside it in its workgroup where each is a whole subgroup', () => {
    const together = ([min, max]: [number, number]) =>
      tilesOf('subgroup', { ...lavapipe, subgroups: { min, max } }, product(49)).together;
    expect([together([8, 8]), together([16, 16]), together([4, 8]), together([8, 16])]).toEqual([4, 4, 1, 1]);
  });
});

describe("the tiling of a weight's gradient", () => {
  const few = { groups: 32, channels: 4, pixels: 36, depth: 3136, weightGradient: true };
  const first = { groups: 1, channels: 64, pixels: 196, depth: 112 * 112, weightGradient: true };

  it.each([
    ['subgroup', lavapipe, first],
    ['register', lavapipe, few],
    ['register', { ...lavapipe, subgroups: undefined }, first],
    ['workgroup-32x32', gpu, first],
    ['workgroup-128x64', gpu, { ...first, channels: 512, pixels: 9 * 512 }],
    ['register', gpu, few],
  ] as const)('is %s', (tiling, facts, size) => {
    expect(chooseTiling(facts, size).tiling).toBe(tiling);
  });

  it('reads as many vectors of channels as a subgroup has threads to load them, if those are few', () => {
    const facts = (min: number) => ({ ...gpu, subgroups: { min, max: 64 } });
    const shared = [4, 8, 32].map((min) => weightGradientTilesOf('subgroup', facts(min)));
    expect(shared.map(({ channels, lanes }) => [channels, lanes])).toEqual([
      [16, 4],
      [32, 8],
      [32, 8],
    ]);
  });

  it('fits where that of a product fits', () => {
    fc.assert(
      fc.property(adapters, fc.constantFrom(...TILINGS), (facts, tiling) => {
        const [product, gradient] = [tilesOf(tiling, facts), weightGradientTilesOf(tiling, facts)];
        expect(gradient.down * gradient.across).toBeLessThanOrEqual(product.down * product.across);
        const threads = ({ down, across, together }: Tiles) => together * down * across;
        expect(threads(gradient)).toBeLessThanOrEqual(Math.max(WORKGROUP, threads(product)));
        if (tiling.startsWith('workgroup')) expect(gradient).toEqual(product);
      }),
    );
  });
});

describe('the split of the depth', () => {
  // 3x3 of 512 channels at 7 x 7: 16 x 2 tiles of 32 x 32.
  const late = { workgroups: 32, depth: 4608 };

  it.each([
    ['fills a GPU where tiles are few and deep', gpu, late, 4],
    ['is left where tiles are enough', gpu, { ...late, workgroups: 16 * 98 }, 1],
    ['is left where there is little to sum', gpu, { ...late, depth: 300 }, 1],
    ['is nothing for a CPU', lavapipe, late, 1],
    ['is what was asked for', { ...lavapipe, splits: 7 }, late, 7],
  ])('%s', (_, facts, { workgroups, depth }, expected) => {
    expect(chooseSplits(facts, workgroups, depth)).toBe(expected);
  });
});

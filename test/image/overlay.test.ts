import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { classColour, viridis } from '../../src/image/colour.ts';
import { filledImage, type RgbImage } from '../../src/image/image.ts';
import { type OverlayMap, overlayFused, overlaySingle, upsample } from '../../src/image/overlay.ts';
import { expectedValues, noise } from './support.ts';

function mapOf(height: number, width: number, values: ArrayLike<number>): OverlayMap {
  return { height, width, data: Float32Array.from(values) };
}

function pixel({ data, width }: RgbImage, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 3).subarray(0, 3)];
}

describe('upsample is PyTorch’s interpolate', () => {
  interface Case {
    from: [number, number];
    to: [number, number];
    source: number[];
    result: number[];
  }

  it.each(expectedValues<Case[]>('upsample.json'))('$from to $to', ({ from, to, source, result }) => {
    const actual = upsample(mapOf(...from, source), ...to);
    expect(actual.length).toBe(result.length);
    actual.forEach((value, i) => {
      expect(Math.abs(value - (result[i] ?? Number.NaN))).toBeLessThan(1e-6); // float32 weights against float64
    });
  });
});

const PHOTO = noise(6, 4);

describe('an overlay leaves the photograph unchanged', () => {
  const blank = mapOf(2, 2, [0, 0, 0, 0]);
  const some = mapOf(2, 2, [0, 1, 0.5, 0.2]);

  it('where the map is zero', () => {
    expect(overlaySingle(PHOTO, blank)).toEqual(PHOTO);
    expect(overlayFused(PHOTO, [blank, blank])).toEqual(PHOTO);
    expect(overlayFused(PHOTO, [mapOf(1, 1, [-3])])).toEqual(PHOTO);
  });

  it('at a heatmapAlpha of 0', () => {
    const options = { heatmapAlpha: 0, region: { x: 1, y: 1, width: 2, height: 2 } };
    expect(overlaySingle(PHOTO, some, options)).toEqual(PHOTO);
    expect(overlayFused(PHOTO, [some, blank], options)).toEqual(PHOTO);
  });

  it('which it copies', () => {
    const before = PHOTO.data.slice();
    overlaySingle(PHOTO, some, { heatmapAlpha: 1 });
    overlayFused(PHOTO, [some], { heatmapAlpha: 1 });
    expect(PHOTO.data).toEqual(before);
  });
});

describe('overlaySingle', () => {
  it.each([0.5, 0.75, 1])('shows viridis where the value is %s and heatmapAlpha is 1', (value) => {
    const result = overlaySingle(PHOTO, mapOf(1, 1, [value]), { heatmapAlpha: 1 });
    expect(result).toEqual(filledImage(6, 4, viridis(value)));
  });

  it('clips values to [0, 1]', () => {
    expect(overlaySingle(PHOTO, mapOf(1, 1, [-1]))).toEqual(PHOTO);
    expect(overlaySingle(PHOTO, mapOf(1, 1, [7]))).toEqual(overlaySingle(PHOTO, mapOf(1, 1, [1])));
  });

  it('covers exactly the region and dims the rest', () => {
    const photo = filledImage(8, 8, [200, 100, 50]);
    const region = { x: 2, y: 1, width: 3, height: 5 };
    const result = overlaySingle(photo, mapOf(1, 1, [1]), { region, heatmapAlpha: 1 });
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 8; x++) {
        const [red, green, blue] = pixel(result, x, y);
        if (x >= 2 && x < 5 && y >= 1 && y < 6) expect([red, green, blue]).toEqual([...viridis(1)]);
        else
          expect([red, green, blue].map((level, i) => (level ?? 0) / ([200, 100, 50][i] ?? 1))).toEqual([
            0.6, 0.6, 0.6,
          ]);
      }
    }
  });

  it('accepts a region with fractions: a pixel belongs to it if its centre does', () => {
    const region = { x: 0.4, y: 0.6, width: 1, height: 9 };
    const result = overlaySingle(filledImage(3, 2, [0, 0, 0]), mapOf(1, 1, [1]), { region, heatmapAlpha: 1 });
    const covered = [0, 1].map((y) => [0, 1, 2].map((x) => pixel(result, x, y)[0] !== 0));
    expect(covered).toEqual([
      [false, false, false],
      [true, false, false],
    ]);
  });
});

describe('overlayFused', () => {
  it('has the colour of the largest class, at an opacity in proportion to the joint maximum', () => {
    const maps = [mapOf(1, 2, [8, 0]), mapOf(1, 2, [2, 4])];
    const result = overlayFused(filledImage(2, 1, [0, 0, 0]), maps, { heatmapAlpha: 1 });
    expect(pixel(result, 0, 0)).toEqual([...classColour(0)]);
    expect(pixel(result, 1, 0)).toEqual(classColour(1).map((level) => Math.round(level / 2)));
  });

  it('gives ties to the first class, and takes the colours that it is given', () => {
    const options = { heatmapAlpha: 1, colours: [[9, 8, 7] as const, [1, 1, 1] as const] };
    const result = overlayFused(filledImage(1, 1, [0, 0, 0]), [mapOf(1, 1, [5]), mapOf(1, 1, [5])], options);
    expect(pixel(result, 0, 0)).toEqual([9, 8, 7]);
  });

  it('with a full scale, shows values in proportion to it, and those beyond it at the full opacity', () => {
    const maps = [mapOf(1, 3, [1, 2, 8]), mapOf(1, 3, [0, 0, 9])];
    const result = overlayFused(filledImage(3, 1, [0, 0, 0]), maps, { heatmapAlpha: 1, fullScale: 4 });
    for (const x of [0, 1]) {
      expect(pixel(result, x, 0)).toEqual(classColour(0).map((level) => Math.round((level * (x + 1)) / 4)));
    }
    expect(pixel(result, 2, 0)).toEqual([...classColour(1)]);
  });

  it('does not depend on the scale of the maps', () => {
    const value = fc.integer({ min: -1000, max: 1000 });
    const four = fc.array(value, { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(four, four, fc.integer({ min: -20, max: 20 }), (a, b, exponent) => {
        const scaled = (values: number[]) => values.map((each) => each * 2 ** exponent);
        const plain = overlayFused(PHOTO, [mapOf(2, 2, a), mapOf(2, 2, b)]);
        expect(overlayFused(PHOTO, [mapOf(2, 2, scaled(a)), mapOf(2, 2, scaled(b))])).toEqual(plain);
      }),
    );
  });
});

describe('overlays refuse', () => {
  const good = mapOf(1, 1, [1]);

  it.each([
    ['NaN', () => overlaySingle(PHOTO, mapOf(1, 1, [Number.NaN])), 'not finite'],
    ['infinity', () => overlayFused(PHOTO, [mapOf(1, 1, [Number.POSITIVE_INFINITY])]), 'not finite'],
    ['no map', () => overlayFused(PHOTO, []), 'empty'],
    ['maps of different sizes', () => overlayFused(PHOTO, [good, mapOf(1, 2, [1, 1])]), 'differ in size'],
    ['a map of the wrong length', () => overlaySingle(PHOTO, mapOf(2, 2, [1])), '1 values'],
    ['a heatmapAlpha above 1', () => overlaySingle(PHOTO, good, { heatmapAlpha: 1.1 }), 'heatmapAlpha'],
    ['a heatmapAlpha of NaN', () => overlaySingle(PHOTO, good, { heatmapAlpha: Number.NaN }), 'heatmapAlpha'],
    [
      'an empty region',
      () => overlaySingle(PHOTO, good, { region: { x: 0, y: 0, width: 0, height: 1 } }),
      'region has no area',
    ],
    ['upsampling to nothing', () => upsample(good, 0, 3), 'height'],
  ])('%s', (_, run, words) => {
    expect(run).toThrow(UsageError);
    expect(run).toThrow(words);
  });
});

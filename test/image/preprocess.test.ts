import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { decodeImage } from '../../src/image/decode.ts';
import { PRESETS, preprocess, squash } from '../../src/image/preprocess.ts';
import { resize } from '../../src/image/resample.ts';
import { hasShared, noise, openGolden, sharedFile } from './support.ts';

/** The files, and what the golden values call them. */
const PHOTOS = [
  { file: 'coco-000000000078', key: 'coco78' },
  { file: 'coco-000000000089', key: 'coco89' },
  { file: 'dog-cat', key: 'dog-cat' },
];

function photograph(name: string) {
  return decodeImage(sharedFile(`images/${name}.jpg`), name);
}

describe.skipIf(!hasShared)('against torchvision and PIL (needs ../shared)', () => {
  describe.each(PHOTOS)('$file', ({ file, key }) => {
    it('decodes to the same pixels', async () => {
      const { data, width } = await photograph(file);
      const corner = Array.from({ length: 32 }, (_, y) => [...data.subarray(y * width * 3).subarray(0, 32 * 3)]);
      expect(corner.flat()).toEqual([...openGolden('golden/preprocess.safetensors')(`${key}/decoded_u8`)]);
    });

    it.each(['bilinear', 'bicubic'] as const)('resizes to the same pixels, %s', async (filter) => {
      const size = filter === 'bilinear' ? 96 : 224;
      const expected = openGolden('golden/preprocess.safetensors')(`${key}/${filter}_${size}_u8`);
      const { data } = resize(await photograph(file), size, size, filter);
      expect(Buffer.compare(data, expected as Uint8Array)).toBe(0);
    });

    it.each(['IMAGENET1K_V1', 'IMAGENET1K_V2'] as const)('gives the same input, %s', async (preset) => {
      const expected = openGolden('golden/preprocess.safetensors')(`${key}/${preset}`);
      const { input, shape } = preprocess(await photograph(file), PRESETS[preset]);
      expect(shape).toEqual([1, 3, 224, 224]);
      expect(largestDifference(input, expected)).toBeLessThanOrEqual(2 ** -21); // one float32 step of values up to 4
    });
  });

  it('squashes to the same input', async () => {
    const golden = openGolden('golden/resnet20-dog-cat-64-layer3.2-top5.safetensors');
    const { input, seen } = preprocess(await photograph('dog-cat'), squash(64));
    expect([...seen.data]).toEqual([...golden('image_u8')]);
    expect(largestDifference(input, golden('input'))).toBeLessThanOrEqual(2 ** -21);
  });
});

function largestDifference(actual: Float32Array, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (expected[i] ?? Number.NaN))), 0);
}

describe('the region that the network saw', () => {
  // torchvision resizes 640x427 to int(256 * 640 / 427) = 383 x 256 and cuts at round((383 - 224) / 2) = round(79.5) = 80.
  it('is the crop in the pixels of the original', () => {
    const { region } = preprocess(noise(640, 427), PRESETS.IMAGENET1K_V1);
    const [scaleX, scaleY] = [640 / 383, 427 / 256];
    expect(region).toEqual({ x: 80 * scaleX, y: 16 * scaleY, width: 224 * scaleX, height: 224 * scaleY });
  });

  it('is cut at the even one of two middles, as Python rounds', () => {
    const { region } = preprocess(noise(229, 224), { ...PRESETS.IMAGENET1K_V1, fit: { shorter: 224, crop: 224 } });
    expect(region.x).toBe(2); // round(2.5)
  });

  it('is everything when squashed', () => {
    expect(preprocess(noise(30, 50), squash(8)).region).toEqual({ x: 0, y: 0, width: 30, height: 50 });
  });
});

it('preprocess handles very long and tiny pictures', () => {
  expect(preprocess(noise(20000, 1), PRESETS.IMAGENET1K_V1).shape).toEqual([1, 3, 224, 224]);
  expect(preprocess(noise(1, 1), PRESETS.IMAGENET1K_V2).region.width).toBeCloseTo(224 / 232, 12);
});

it.each([
  [{ shorter: 200, crop: 224 }, 'crop 224'],
  [{ shorter: 0, crop: 0 }, 'shorter'],
  [{ squash: 2.5 }, 'squash'],
])('preprocess refuses %o', (fit, word) => {
  const run = () => preprocess(noise(4, 4), { ...PRESETS.IMAGENET1K_V1, fit });
  expect(run).toThrow(UsageError);
  expect(run).toThrow(word);
});

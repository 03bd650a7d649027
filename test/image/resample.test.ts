import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { filledImage } from '../../src/image/image.ts';
import { type Filter, resize } from '../../src/image/resample.ts';
import { expectedValues, fromBase64, noise } from './support.ts';

interface Case {
  from: [number, number];
  to: [number, number];
  filter: Filter;
  source: string;
  pixels: string;
}

const cases = expectedValues<Case[]>('resize.json');

describe('resize is bit-exact with PIL', () => {
  it.each(cases)('$from to $to, $filter', ({ from, to, filter, source, pixels }) => {
    const image = { width: from[0], height: from[1], data: fromBase64(source) };
    const resized = resize(image, to[0], to[1], filter);
    expect([resized.width, resized.height]).toEqual(to);
    expect(Buffer.from(resized.data).toString('base64')).toBe(pixels);
  });
});

const filter = fc.constantFrom<Filter>('bilinear', 'bicubic');
const size = fc.integer({ min: 1, max: 50 });

it('resize keeps an image of one colour', () => {
  fc.assert(
    fc.property(size, size, size, size, fc.nat(255), filter, (width, height, toWidth, toHeight, level, name) => {
      const resized = resize(filledImage(width, height, [level, 0, 255]), toWidth, toHeight, name);
      expect(resized).toEqual(filledImage(toWidth, toHeight, [level, 0, 255]));
    }),
  );
});

it('resize to a window is that part of the whole', () => {
  const image = noise(30, 20);
  const whole = resize(image, 17, 41, 'bicubic');
  const part = resize(image, 17, 41, 'bicubic', { x: 3, y: 5, width: 9, height: 30 });
  const cut = Array.from({ length: 30 }, (_, y) => [...whole.data.subarray(((y + 5) * 17 + 3) * 3).subarray(0, 27)]);
  expect([...part.data]).toEqual(cut.flat());
});

it.each([0, -1, 1.5, Number.NaN])('resize refuses a width of %s', (width) => {
  expect(() => resize(noise(2, 2), width, 2, 'bilinear')).toThrow(UsageError);
});

import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { captioned, contactSheet, formatPercent, legend } from '../../src/image/figure.ts';
import { filledImage, type Rgb, type RgbImage } from '../../src/image/image.ts';
import { noise } from './support.ts';

const RED: Rgb = [200, 10, 20];
const BLUE: Rgb = [20, 10, 200];

/** The smallest rectangle that holds all pixels of a colour, as [left, top, right, bottom]; undefined without any. */
function extent({ width, data }: RgbImage, [red, green, blue]: Rgb): number[] | undefined {
  const found: [number, number][] = [];
  for (let i = 0; i < data.length; i += 3) {
    if (data[i] === red && data[i + 1] === green && data[i + 2] === blue) {
      found.push([(i / 3) % width, Math.floor(i / 3 / width)]);
    }
  }
  if (found.length === 0) return undefined;
  const [x, y] = [found.map(([column]) => column), found.map(([, row]) => row)];
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}

function hasWhiteBorder({ width, height, data }: RgbImage, border: number): boolean {
  return data.every((level, i) => {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    return (x >= border && x < width - border && y >= border && y < height - border) || level === 255;
  });
}

describe('formatPercent', () => {
  it.each([
    [0, '0 %'],
    [1, '100 %'],
    [0.936, '93.6 %'],
    [0.5, '50.0 %'],
    [0.062, '6.2 %'],
    [0.00062, '0.062 %'],
    [0.000012, '0.0012 %'],
    [0.99998, '99.998 %'],
    [1e-12, '1.0e-10 %'],
  ])('%s is %s', (probability, text) => {
    expect(formatPercent(probability)).toBe(text);
  });

  it.each([-0.1, 1.1, Number.NaN])('refuses %s', (probability) => {
    expect(() => formatPercent(probability)).toThrow(UsageError);
  });
});

describe('legend', () => {
  const classes = [
    { name: 'tiger cat', probability: 0.9, colour: RED },
    { name: 'a name that is far too long for its strip, '.repeat(9), probability: 0.1, colour: BLUE },
  ];

  it.each([120, 260, 600, 1600])('has its width, %s, and one line per class', (width) => {
    const strip = legend({ title: 'Classes', classes, colourBar: 'Grad-CAM' }, width);
    expect(strip.width).toBe(width);
    const [red, blue] = [extent(strip, RED), extent(strip, BLUE)];
    expect((blue?.[1] ?? 0) - (red?.[3] ?? 0)).toBeGreaterThan(0);
    expect(red?.[0]).toBe(blue?.[0]);
  });

  it('shows both ends of viridis in its bar only when there is one', () => {
    expect(extent(legend({ colourBar: 'Grad-CAM' }, 300), [253, 231, 37])).toBeDefined();
    expect(extent(legend({ colourBar: 'Grad-CAM' }, 300), [68, 1, 84])).toBeDefined();
    expect(extent(legend({ classes }, 300), [253, 231, 37])).toBeUndefined();
  });
});

describe('legend with several bars', () => {
  const bars = [{ text: 'first', hues: [RED, BLUE], maximum: 0.25 }, { text: 'second' }];

  it('has them side by side where there is room, else below each other', () => {
    const [wide, narrow] = [legend({ colourBar: bars }, 900), legend({ colourBar: bars }, 300)];
    const yellow: Rgb = [253, 231, 37];
    const [left = 0] = extent(wide, yellow) ?? [];
    expect(left).toBeGreaterThan(extent(wide, RED)?.[2] ?? Number.NaN);
    const [, top = 0] = extent(narrow, yellow) ?? [];
    expect(top).toBeGreaterThan(extent(narrow, BLUE)?.[3] ?? Number.NaN);
  });

  it('has one ramp for each hue, in order', () => {
    const strip = legend({ colourBar: bars.slice(0, 1) }, 300);
    expect(extent(strip, BLUE)?.[1]).toBe((extent(strip, RED)?.[3] ?? Number.NaN) + 1);
  });
});

describe('contactSheet', () => {
  function sheetOf(width: number, height: number, classes: number): RgbImage {
    const image = filledImage(width, height, RED);
    const singles = Array.from({ length: classes }, (_, k) => ({
      title: `class ${k} `.repeat(8),
      image,
      colour: BLUE,
    }));
    return contactSheet({ title: 'A title', photo: image, fused: image, singles, legend: { colourBar: 'Grad-CAM' } });
  }

  it.each([
    [64, 64, 1],
    [640, 480, 5],
    [640, 480, 10],
    [1600, 200, 3],
    [100, 900, 4],
    [1, 1, 2],
  ])('of %sx%s with %s classes has white margins, and its pictures in rows', (width, height, classes) => {
    const sheet = sheetOf(width, height, classes);
    expect(hasWhiteBorder(sheet, 20)).toBe(true);
    expect(sheet.width).toBeLessThanOrEqual(2400);
    expect(sheet.width / sheet.height).toBeGreaterThan(0.5);
  });

  it('keeps the aspect ratio and enlarges small pictures', () => {
    const [left = 0, , right = 0] = extent(captioned(filledImage(32, 16, RED), ['text']), RED) ?? [];
    const [, top = 0, , bottom = 0] = extent(captioned(filledImage(32, 16, RED), ['text']), RED) ?? [];
    expect((right - left + 1) / (bottom - top + 1)).toBeCloseTo(2, 1);
    expect(right - left).toBeGreaterThan(200);
  });

  it('does not change its pictures', () => {
    const photo = noise(20, 20);
    const before = photo.data.slice();
    contactSheet({ photo, fused: photo, singles: [] });
    expect(photo.data).toEqual(before);
  });

  it('refuses pictures of different sizes', () => {
    const run = () => contactSheet({ photo: noise(4, 4), fused: noise(4, 5), singles: [] });
    expect(run).toThrow(UsageError);
    expect(run).toThrow('4x5');
  });
});

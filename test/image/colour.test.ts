import { describe, expect, it } from 'vitest';
import { classColour, diverging, hexOf, viridis } from '../../src/image/colour.ts';
import type { Rgb } from '../../src/image/image.ts';

describe('viridis', () => {
  it.each([
    [0, '440154'],
    [0.25, '3b528b'],
    [0.5, '21918c'],
    [0.75, '5ec962'],
    [1, 'fde725'],
    [-1, '440154'],
    [2, 'fde725'],
  ])('at %s is the colour that matplotlib has', (value, hex) => {
    expect(Buffer.from(viridis(value)).toString('hex')).toBe(hex);
  });

  it('becomes lighter from end to end', () => {
    const lightness = Array.from({ length: 256 }, (_, i) => lab(viridis(i / 255), IDENTITY)[0]);
    for (let i = 1; i < 256; i++) expect(lightness[i]).toBeGreaterThan((lightness[i - 1] ?? 0) - 0.2); // 8-bit rounding
  });
});

type Vector = [number, number, number];
type Matrix = [Vector, Vector, Vector];

const IDENTITY: Matrix = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];

/** What a person without one kind of cone sees, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1. */
const VISION: Record<string, Matrix> = {
  trichromacy: IDENTITY,
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

function times(matrix: Matrix, [a, b, c]: Vector): Vector {
  const [p, q, r] = matrix.map((row) => row[0] * a + row[1] * b + row[2] * c);
  return [p ?? 0, q ?? 0, r ?? 0];
}

/** CIE L*a*b* (D65) of an sRGB colour as seen with `vision`. */
function lab(colour: Rgb, vision: Matrix): Vector {
  const [r, g, b] = colour.map((level) => {
    const value = level / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const seen = times(vision, [r ?? 0, g ?? 0, b ?? 0]).map((value) => Math.min(1, Math.max(0, value)));
  const [x, y, z] = times(
    [
      [0.4124 / 0.9505, 0.3576 / 0.9505, 0.1805 / 0.9505],
      [0.2126, 0.7152, 0.0722],
      [0.0193 / 1.089, 0.1192 / 1.089, 0.9505 / 1.089],
    ],
    [seen[0] ?? 0, seen[1] ?? 0, seen[2] ?? 0],
  ).map((t) => (t > 216 / 24389 ? Math.cbrt(t) : (24389 / 27) * (t / 116) + 16 / 116));
  return [116 * (y ?? 0) - 16, 500 * ((x ?? 0) - (y ?? 0)), 200 * ((y ?? 0) - (z ?? 0))];
}

function smallestDifference(colours: readonly Rgb[], vision: Matrix): number {
  const points = colours.map((colour) => lab(colour, vision));
  return Math.min(
    ...points.flatMap((p, i) => points.slice(i + 1).map((q) => Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]))),
  );
}

describe('diverging', () => {
  // Ends and middle as Paul Tol's 'BuRd' has them.
  it.each([
    [-1, '#2166ac'],
    [0, '#f7f7f7'],
    [1, '#b2182b'],
    [-3, '#2166ac'],
    [3, '#b2182b'],
  ])('at %s is %s', (value, hex) => {
    expect(hexOf(diverging(value))).toBe(hex);
  });

  it.each(Object.entries(VISION))('becomes darker away from zero, and tells signs apart, with %s', (_, vision) => {
    const at = (value: number) => lab(diverging(value), vision);
    for (let i = 1; i <= 50; i++) {
      for (const sign of [-1, 1]) expect(at((sign * i) / 50)[0]).toBeLessThan(at((sign * (i - 1)) / 50)[0]);
    }
    const [blue, red] = [at(-1), at(1)];
    expect(Math.hypot(blue[0] - red[0], blue[1] - red[1], blue[2] - red[2])).toBeGreaterThan(20);
  });
});

describe('classColour', () => {
  // A difference (CIE76) of about 2.3 is just noticeable.
  it.each(Object.entries(VISION))('tells 10 classes apart, and the first 5 clearly, with %s', (_, vision) => {
    const colours = Array.from({ length: 10 }, (_, rank) => classColour(rank));
    expect(smallestDifference(colours, vision)).toBeGreaterThan(7);
    expect(smallestDifference(colours.slice(0, 5), vision)).toBeGreaterThan(20);
  });

  it('is a colour, and always the same and a different one, for many more classes', () => {
    const colours = Array.from({ length: 60 }, (_, rank) => classColour(rank));
    expect(new Set(colours.map(String)).size).toBe(60);
    expect(colours).toEqual(Array.from({ length: 60 }, (_, rank) => classColour(rank)));
    for (const level of colours.flat()) expect(level === Math.round(level) && level >= 0 && level <= 255).toBe(true);
  });
});

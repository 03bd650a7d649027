import type { Random } from './random.ts';

/* An icon redrawn, so that the network cannot learn the hands of a few artists by heart. Pictures are premultiplied RGBA. */

/** How much the colour must change from one pixel to the next but one for a line, of 3 * 255. */
const EDGE = 65;
/** Shades of each channel. */
const SHADES = 3;

/** Flat colours within black lines. */
export function drawn(pixels: Uint8ClampedArray): Uint8ClampedArray {
  const step = 255 / SHADES;
  return withLines(pixels, (value) => Math.round(value / step) * step);
}

/** Black lines on white. */
export function lineArt(pixels: Uint8ClampedArray): Uint8ClampedArray {
  return withLines(pixels, () => 255);
}

/** Colours of an SVG, each of them another: those that are alike stay alike, and the dark ones dark. */
export function recolour(body: string, random: Random): string {
  const palette = new Map<string, string>();
  return body.replace(
    /(fill|stroke|stop-color)([=:]["']?)#([0-9a-f]{6}|[0-9a-f]{3})\b/gi,
    (_, attribute, is, hex: string) => {
      const value = hex.length === 3 ? [...hex].map((digit) => digit + digit).join('') : hex;
      const [r = 0, g = 0, b = 0] = [0, 2, 4].map((from) => Number.parseInt(value.slice(from, from + 2), 16));
      const alike = [r, g, b].map((channel) => Math.round(channel / 64)).join();
      const colour = palette.get(alike) ?? (Math.max(r, g, b) < 80 ? `#${value}` : hexOf(vivid(random)));
      palette.set(alike, colour);
      return `${attribute}${is}${colour}`;
    },
  );
}

const hexOf = (colour: readonly number[]) =>
  `#${colour.map((value) => Math.round(value).toString(16).padStart(2, '0')).join('')}`;

/** A colour as artists take it: of any hue, seldom grey or dark, at times white. */
function vivid(random: Random): number[] {
  if (random.chance(0.12)) return [255, 255, 255];
  const [hue, saturation, value] = [random.uniform(0, 6), random.uniform(0.25, 1), random.uniform(90, 255)];
  return [5, 3, 1].map((offset) => {
    const k = (offset + hue) % 6;
    return value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1)));
  });
}

/** How much of a pictogram is ink if it is a silhouette and not lines. */
const SOLID = 0.6;

/**
 * A pictogram of one colour as if for children: what its ink encloses is coloured in, each part otherwise. Lines stay
 * black; a silhouette has a colour of its own, within a black line.
 */
export function colouredIn(pixels: Uint8ClampedArray, random: Random): Uint8ClampedArray {
  const size = Math.sqrt(pixels.length / 4);
  const ink = Float32Array.from({ length: size * size }, (_, i) => (pixels[4 * i + 3] ?? 0) / 255);
  const parts = enclosed(ink, size);
  const covered = ink.map((value, i) => (value >= 0.5 || (parts[i] ?? 0) > 0 ? 1 : 0));
  const solid = count(ink, 0.5) > SOLID * count(covered, 0.5);
  const colours = Array.from({ length: Math.max(...parts) + 1 }, () => vivid(random));
  const inkColour = solid ? (colours[0] ?? BLACK) : BLACK;
  const outline = solid ? around(covered, size, random.uniform(1, 3)) : undefined;

  const result = new Uint8ClampedArray(pixels.length);
  const lay = (i: number, colour: readonly number[], alpha: number) => {
    for (let c = 0; c < 4; c++) {
      result[4 * i + c] = (result[4 * i + c] ?? 0) * (1 - alpha) + (c < 3 ? (colour[c] ?? 0) : 255) * alpha;
    }
  };
  for (let i = 0; i < size * size; i++) {
    lay(i, BLACK, outline?.[i] ?? 0);
    // What is enclosed reaches below the edge of the ink.
    const part =
      parts[i] ||
      ((ink[i] ?? 0) >= 0.5 &&
        neighbours(i, size)
          .map((j) => parts[j] ?? 0)
          .find((j) => j > 0)) ||
      0;
    if (part > 0) lay(i, colours[part] ?? BLACK, 1);
    lay(i, inkColour, ink[i] ?? 0);
  }
  return result;
}

const BLACK = [0, 0, 0];
const count = (values: Float32Array, least: number) => values.reduce((sum, value) => sum + (value >= least ? 1 : 0), 0);
const neighbours = (i: number, size: number) => [i - 1, i + 1, i - size, i + size];

/** The parts that ink encloses, numbered from 1; 0 is ink, and what lies outside. */
function enclosed(ink: Float32Array, size: number): Int32Array {
  const OPEN = -1;
  const parts = new Int32Array(size * size);
  let number = OPEN;
  // The first corner's part is what lies outside: a sprite has a margin.
  for (let start = 0; start < parts.length; start++) {
    if (parts[start] !== 0 || (ink[start] ?? 0) >= 0.5) continue;
    const stack = [start];
    for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
      if (parts[i] !== 0 || (ink[i] ?? 0) >= 0.5) continue;
      parts[i] = number;
      stack.push(...neighbours(i, size).filter((j) => j >= 0 && j < parts.length));
    }
    number = number === OPEN ? 1 : number + 1;
  }
  return parts.map((part) => Math.max(part, 0));
}

/** 1 where a covered pixel is at most so far away. */
function around(covered: Float32Array, size: number, distance: number): Float32Array {
  const reach = Math.ceil(distance);
  return covered.map((value, i) => {
    if (value > 0) return 1;
    for (let dy = -reach; dy <= reach; dy++) {
      for (let dx = -reach; dx <= reach; dx++) {
        if (Math.hypot(dx, dy) <= distance && (covered[i + dy * size + dx] ?? 0) > 0) return 1;
      }
    }
    return 0;
  });
}

function withLines(pixels: Uint8ClampedArray, paint: (value: number) => number): Uint8ClampedArray {
  const size = Math.sqrt(pixels.length / 4);
  const smooth = blur(pixels, size);
  const line = soften(edges(smooth, size), size);
  const result = new Uint8ClampedArray(pixels.length);
  for (let i = 0; i < size * size; i++) {
    const alpha = pixels[4 * i + 3] ?? 0;
    const ink = line[i] ?? 0;
    for (let c = 0; c < 3; c++) {
      const colour =
        alpha === 0 ? 0 : paint(Math.min(255, (255 * (smooth[4 * i + c] ?? 0)) / Math.max(smooth[4 * i + 3] ?? 1, 1)));
      result[4 * i + c] = ((colour * alpha) / 255) * (1 - ink);
    }
    result[4 * i + 3] = Math.max(alpha, 255 * ink);
  }
  return result;
}

/** The mean of each pixel and its neighbours. */
function blur(pixels: Uint8ClampedArray, size: number): Uint8ClampedArray {
  const result = new Uint8ClampedArray(pixels.length);
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < size - 1; x++) {
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) sum += pixels[4 * ((y + dy) * size + x + dx) + c] ?? 0;
        }
        result[4 * (y * size + x) + c] = sum / 9;
      }
    }
  }
  return result;
}

/** 1 where the colour or the transparency changes at once, else 0. */
function edges(pixels: Uint8ClampedArray, size: number): Float32Array {
  const result = new Float32Array(size * size);
  const difference = (a: number, b: number, c: number) => Math.abs((pixels[4 * a + c] ?? 0) - (pixels[4 * b + c] ?? 0));
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < size - 1; x++) {
      const i = y * size + x;
      let change = 0;
      for (let c = 0; c < 3; c++) change += Math.hypot(difference(i - 1, i + 1, c), difference(i - size, i + size, c));
      const border = Math.hypot(difference(i - 1, i + 1, 3), difference(i - size, i + size, 3)) > 90;
      if (change > EDGE || border) result[i] = 1;
    }
  }
  return result;
}

/** Lines without stairs. */
function soften(line: Float32Array, size: number): Float32Array {
  return line.map((value, i) => {
    const around = (line[i - 1] ?? 0) + (line[i + 1] ?? 0) + (line[i - size] ?? 0) + (line[i + size] ?? 0);
    return Math.min(1, value * 0.6 + around * 0.15);
  });
}

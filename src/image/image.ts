import { UsageError } from '../errors.ts';

/** A colour: red, green, blue, each 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** A picture of 8-bit RGB pixels, row by row from the top left. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3], row-major: 3 bytes per pixel. */
  readonly data: Uint8Array;
}

/** A rectangle in an image's pixels; `x` and `y` are its top left corner. Fractions are allowed where a function says so. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** An image of one colour. */
export function filledImage(width: number, height: number, [red, green, blue]: Rgb): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) {
    data[i] = red;
    data[i + 1] = green;
    data[i + 2] = blue;
  }
  return { width, height, data };
}

/** The image without its alpha: `rgba` is [height, width, 4]. Colours are kept as they are, as PIL's `convert('RGB')` does. */
export function withoutAlpha(rgba: ArrayLike<number>, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = rgba[from] ?? 0;
    data[to + 1] = rgba[from + 1] ?? 0;
    data[to + 2] = rgba[from + 2] ?? 0;
  }
  return { width, height, data };
}

/** Lays a colour over the pixel at (x, y), in place: `alpha` 0 keeps the pixel, 1 replaces it. */
export function blendPixel({ data, width }: RgbImage, x: number, y: number, colour: Rgb, alpha: number): void {
  const at = (y * width + x) * 3;
  for (let channel = 0; channel < 3; channel++) {
    const below = data[at + channel] ?? 0;
    data[at + channel] = Math.round(below + ((colour[channel] ?? 0) - below) * alpha);
  }
}

/** @throws UsageError unless `value` is a whole number of at least 1; `what` names the argument. */
export function requireSize(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`${what} is ${value}; give a whole number of pixels, 1 or more`);
  }
}

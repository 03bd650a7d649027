import { unzlibSync, zlibSync } from 'fflate';
import { concatenate } from '../bytes.ts';
import type { RgbImage } from './image.ts';
import {
  bitsPerPixel,
  type Chunk,
  encodeChunk,
  inflatedBytes,
  PALETTE,
  type Pass,
  type PngHeader,
  passes,
  RGB,
  SIGNATURE,
  scanlineBytes,
} from './png-format.ts';

/*
 * PNG's pixels without Node: png-codec.ts for browsers. The browser's own decoder is no help, because a canvas gives back
 * colours multiplied by alpha, and in some browsers with noise against fingerprinting.
 */

const PAETH = 4;

/**
 * The samples of a picture, [height, width, 4] as red, green, blue and 0: in the header's bit depth, or for a palette the
 * 8 bits of its colours.
 * @throws Error if the image data is corrupt
 */
export function decodeSamples(chunks: readonly Chunk[], header: PngHeader): ArrayLike<number> {
  const { width, height, bitDepth, colourType } = header;
  const data = inflate(contentOf(chunks, 'IDAT'), inflatedBytes(header));
  const palette = colourType === PALETTE ? contentOf(chunks, 'PLTE') : undefined;
  const samples = new (bitDepth === 16 ? Uint16Array : Uint8Array)(4 * width * height);
  let start = 0;
  for (const pass of passes(header)) {
    const stride = scanlineBytes(header, pass.width);
    const lines = data.subarray(start, start + pass.height * stride);
    unfilter(lines, stride, Math.ceil(bitsPerPixel(header) / 8));
    place(lines, stride, pass, header, palette, samples);
    start += lines.length;
  }
  return samples;
}

/** Puts the pixels of a pass where they belong in the picture. */
function place(
  lines: Uint8Array,
  stride: number,
  pass: Pass,
  header: PngHeader,
  palette: Uint8Array | undefined,
  samples: Uint8Array | Uint16Array,
): void {
  const { bitDepth } = header;
  const pixelBits = bitsPerPixel(header);
  const channelBits = pixelBits < 3 * bitDepth ? 0 : bitDepth; // grey is read three times
  for (let y = 0; y < pass.height; y++) {
    for (let x = 0; x < pass.width; x++) {
      const from = 8 * (y * stride + 1) + x * pixelBits;
      const to = 4 * ((pass.y + y * pass.dy) * header.width + pass.x + x * pass.dx);
      for (let channel = 0; channel < 3; channel++) {
        const sample = sampleAt(lines, from + channel * channelBits, bitDepth);
        samples[to + channel] = palette ? paletteColour(palette, sample, channel) : sample;
      }
    }
  }
}

/** The picture as a PNG file of 8-bit RGB. */
export function encodeRgb({ width, height, data }: RgbImage): Uint8Array {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits
  header.setUint8(9, RGB);
  const row = 3 * width;
  const lines = new Uint8Array(height * (1 + row));
  for (let y = 0; y < height; y++) lines.set(data.subarray(y * row, (y + 1) * row), y * (1 + row) + 1);
  return concatenate([
    SIGNATURE,
    encodeChunk('IHDR', new Uint8Array(header.buffer)),
    encodeChunk('IDAT', zlibSync(filtered(lines, 1 + row, 3))),
    encodeChunk('IEND', new Uint8Array(0)),
  ]);
}

function contentOf(chunks: readonly Chunk[], wanted: string): Uint8Array {
  return concatenate(chunks.filter(({ type }) => type === wanted).map(({ content }) => content));
}

/** Never takes more memory than `bytes`, whatever the data would inflate to. */
function inflate(data: Uint8Array, bytes: number): Uint8Array {
  // With one byte to spare: data that fills it is too long.
  const inflated = unzlibSync(data, { out: new Uint8Array(bytes + 1) });
  if (inflated.length !== bytes) {
    throw new Error(`its image data has ${inflated.length > bytes ? 'more' : 'fewer'} than ${bytes} bytes`);
  }
  return inflated;
}

/** The sample of `depth` bits that starts at a bit; the most significant bit comes first. */
function sampleAt(bytes: Uint8Array, bit: number, depth: number): number {
  const at = Math.floor(bit / 8); // bits can be too many for >>
  const byte = bytes[at] ?? 0;
  if (depth === 8) return byte;
  if (depth === 16) return (byte << 8) | (bytes[at + 1] ?? 0);
  return (byte >> (8 - depth - (bit & 7))) & (2 ** depth - 1);
}

function paletteColour(palette: Uint8Array, index: number, channel: number): number {
  const value = palette[3 * index + channel];
  if (value === undefined) throw new Error(`index ${index} not in palette`);
  return value;
}

/** What a filter expects of a byte, from the bytes to the left, above, and above left (section 9.2). */
type Predictor = (left: number, above: number, corner: number) => number;

const PREDICTORS: readonly Predictor[] = [
  () => 0,
  (left) => left,
  (_, above) => above,
  (left, above) => (left + above) >> 1,
  paeth,
];

/** Whichever neighbour is nearest to left + above - corner. */
function paeth(left: number, above: number, corner: number): number {
  const toLeft = Math.abs(above - corner);
  const toAbove = Math.abs(left - corner);
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** Undoes the filters of scanlines of `stride` bytes, in place. `step` is the distance of a byte to that on its left. */
function unfilter(lines: Uint8Array, stride: number, step: number): void {
  for (let start = 0; start < lines.length; start += stride) {
    const filter = lines[start] ?? 0;
    const predictor = PREDICTORS[filter];
    if (!predictor) throw new Error(`there is no filter ${filter}`);
    for (let at = start + 1; at < start + stride; at++) {
      lines[at] = (lines[at] ?? 0) + predict(lines, at, start, stride, step, predictor);
    }
  }
}

/** The scanlines with the filter that suits photographs best. */
function filtered(lines: Uint8Array, stride: number, step: number): Uint8Array {
  const result = new Uint8Array(lines.length);
  for (let start = 0; start < lines.length; start += stride) {
    result[start] = PAETH;
    for (let at = start + 1; at < start + stride; at++) {
      result[at] = (lines[at] ?? 0) - predict(lines, at, start, stride, step, paeth);
    }
  }
  return result;
}

/** The prediction for the byte `at` of the scanline at `start`; neighbours outside of the picture count as 0. */
function predict(
  lines: Uint8Array,
  at: number,
  start: number,
  stride: number,
  step: number,
  predictor: Predictor,
): number {
  const hasLeft = at - step > start;
  const left = hasLeft ? (lines[at - step] ?? 0) : 0;
  const above = lines[at - stride] ?? 0;
  const corner = hasLeft ? (lines[at - stride - step] ?? 0) : 0;
  return predictor(left, above, corner);
}

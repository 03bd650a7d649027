import { crc32 } from '../bytes.ts';
import { InputError } from '../errors.ts';

/* How a PNG file is laid out (PNG specification, 3rd edition): chunks, header, scanlines. */

/** What a PNG file says of itself (section 11.2.1). */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly bitDepth: number;
  readonly colourType: number;
  readonly interlaced: boolean;
}

/** A chunk; `bytes` is all of it, with length, type and CRC. */
export interface Chunk {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
}

/** One of the pictures that an interlaced image is sent as: every dx-th column and dy-th row from (x, y) on. */
export interface Pass {
  readonly x: number;
  readonly y: number;
  readonly dx: number;
  readonly dy: number;
  /** Size in pixels, at least 1 x 1. */
  readonly width: number;
  readonly height: number;
}

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** Colour types. */
export const RGB = 2;
export const PALETTE = 3;

const CHUNK_OVERHEAD = 12; // length, type and CRC
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const BIT_DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};
/** x, y, dx and dy of the passes (section 8.1). */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** @throws InputError if the first chunk is not a valid image header. */
export function readPngHeader(bytes: Uint8Array, name: string): PngHeader {
  const { value: first } = chunks(bytes, name).next();
  if (first?.type !== 'IHDR' || first.content.length !== 13) throw corruptPng(name, 'it has no image header');
  const view = new DataView(first.content.buffer, first.content.byteOffset, first.content.byteLength);
  const [bitDepth, colourType] = [view.getUint8(8), view.getUint8(9)];
  if (!BIT_DEPTHS[colourType]?.includes(bitDepth)) {
    throw corruptPng(name, `there is no colour type ${colourType} with ${bitDepth} bits`);
  }
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    bitDepth,
    colourType,
    interlaced: view.getUint8(12) === 1,
  };
}

/** The chunks up to and with IEND, each checked against its CRC. */
export function* chunks(bytes: Uint8Array, name: string): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = SIGNATURE.length;
  while (at + CHUNK_OVERHEAD <= bytes.length) {
    const end = at + CHUNK_OVERHEAD + view.getUint32(at);
    if (end > bytes.length) break;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw corruptPng(name, `the checksum of its ${JSON.stringify(type)} chunk is wrong`);
    }
    yield { type, bytes: bytes.subarray(at, end), content: bytes.subarray(at + 8, end - 4) };
    if (type === 'IEND') return;
    at = end;
  }
  throw new InputError(`${name}: truncated PNG, it ends after ${bytes.length} bytes; get a fresh copy`);
}

/** The bytes of a chunk. */
export function encodeChunk(type: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CHUNK_OVERHEAD + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(content, 8);
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(4, -4)));
  return bytes;
}

/** The pictures whose scanlines follow one another in the image data: seven at most, one if it is not interlaced. */
export function passes({ width, height, interlaced }: PngHeader): Pass[] {
  return (interlaced ? ADAM7 : ([[0, 0, 1, 1]] as const))
    .map(([x, y, dx, dy]) => ({
      x,
      y,
      dx,
      dy,
      width: Math.ceil((width - x) / dx),
      height: Math.ceil((height - y) / dy),
    }))
    .filter((pass) => pass.width > 0 && pass.height > 0);
}

export function bitsPerPixel({ bitDepth, colourType }: PngHeader): number {
  return bitDepth * (SAMPLES[colourType] ?? 0);
}

/** Bytes of a scanline of `width` pixels, with its filter byte. */
export function scanlineBytes(header: PngHeader, width: number): number {
  return 1 + Math.ceil((width * bitsPerPixel(header)) / 8);
}

/** Bytes of all scanlines: what the image data has to inflate to. */
export function inflatedBytes(header: PngHeader): number {
  return passes(header).reduce((bytes, { width, height }) => bytes + height * scanlineBytes(header, width), 0);
}

export function corruptPng(name: string, reason: string): InputError {
  return new InputError(`${name}: corrupt PNG (${reason}); get a fresh copy or save it again`);
}

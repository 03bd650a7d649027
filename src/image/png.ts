import { InputError, messageOf } from '../errors.ts';
import { exifOrientation } from './exif.ts';
import { type RgbImage, withoutAlpha } from './image.ts';

/** What a PNG file says of itself (PNG specification, 3rd edition, section 11.2.1), and its orientation. */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly bitDepth: number;
  readonly colourType: number;
  readonly interlaced: boolean;
}

/** A chunk; `bytes` is all of it, with length, type and CRC. */
interface Chunk {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
}

const SIGNATURE_BYTES = 8;
const CHUNK_OVERHEAD = 12; // length, type and CRC
const PALETTE = 3;
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
const BIT_DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

/** @throws InputError if the first chunk is not a valid image header. */
export function readPngHeader(bytes: Uint8Array, name: string): PngHeader {
  const { value: first } = chunks(bytes, name).next();
  if (first?.type !== 'IHDR' || first.content.length !== 13) throw corrupt(name, 'it has no image header');
  const view = new DataView(first.content.buffer, first.content.byteOffset, first.content.byteLength);
  const [bitDepth, colourType] = [view.getUint8(8), view.getUint8(9)];
  if (!BIT_DEPTHS[colourType]?.includes(bitDepth)) {
    throw corrupt(name, `there is no colour type ${colourType} with ${bitDepth} bits`);
  }
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    bitDepth,
    colourType,
    interlaced: view.getUint8(12) === 1,
  };
}

/**
 * Decodes a PNG with pngjs, to what PIL's `convert('RGB')` gives: alpha and transparent colours are dropped, of 16 bits
 * the high byte is kept. (Only of 16-bit *grey* PIL clips the value at 255 instead, which turns the picture white; here it
 * is treated as the other kinds are.) Of an animation it is the first picture.
 * @throws InputError if the file is truncated or corrupt.
 */
export async function decodePng(
  bytes: Uint8Array,
  header: PngHeader,
  name: string,
): Promise<{ image: RgbImage; orientation: number }> {
  const all = [...chunks(bytes, name)];
  const exif = all.find(({ type }) => type === 'eXIf');
  const pixels = await readPixels(bytes, all, header, name);
  return {
    image: withoutAlpha(pixels, header.width, header.height),
    orientation: exif ? exifOrientation(exif.content) : 1,
  };
}

/** The chunks up to and with IEND, each checked against its CRC. */
function* chunks(bytes: Uint8Array, name: string): Generator<Chunk> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = SIGNATURE_BYTES;
  while (at + CHUNK_OVERHEAD <= bytes.length) {
    const end = at + CHUNK_OVERHEAD + view.getUint32(at);
    if (end > bytes.length) break;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) {
      throw corrupt(name, `the checksum of its ${JSON.stringify(type)} chunk is wrong`);
    }
    yield { type, bytes: bytes.subarray(at, end), content: bytes.subarray(at + 8, end - 4) };
    if (type === 'IEND') return;
    at = end;
  }
  throw new InputError(`${name}: truncated PNG, it ends after ${bytes.length} bytes; get a fresh copy`);
}

/** [height, width, 4] in 8 bits. */
async function readPixels(bytes: Uint8Array, all: readonly Chunk[], header: PngHeader, name: string) {
  const { PNG } = await import('pngjs');
  // Ancillary chunks (lower-case initial) are left out: with tRNS, pngjs would blacken the pixels of the transparent
  // colour, where PIL keeps it.
  const critical = all.filter(({ type }) => /^[A-Z]/.test(type)).map((chunk) => chunk.bytes);
  try {
    if (header.interlaced) await checkInflatedSize(all, header);
    const file = Buffer.concat([bytes.subarray(0, SIGNATURE_BYTES), ...critical]);
    const { data } = PNG.sync.read(file, { checkCRC: false, skipRescale: true });
    return to8Bits(data, header.colourType === PALETTE ? 8 : header.bitDepth);
  } catch (thrown) {
    throw corrupt(name, messageOf(thrown));
  }
}

function to8Bits(samples: ArrayLike<number>, bitDepth: number): ArrayLike<number> {
  if (bitDepth === 8) return samples;
  if (bitDepth === 16) return Uint8Array.from(samples, (sample) => sample >> 8);
  const step = 255 / (2 ** bitDepth - 1);
  return Uint8Array.from(samples, (sample) => sample * step);
}

/** pngjs inflates an interlaced picture without any limit, so that a small file could claim all memory. */
async function checkInflatedSize(all: readonly Chunk[], { width, height, bitDepth, colourType }: PngHeader) {
  const { inflateSync } = await import('node:zlib');
  const bitsPerPixel = bitDepth * (SAMPLES[colourType] ?? 0);
  // The 7 passes have fewer than 2 height + 7 rows, each with a filter byte and at most one byte of padding.
  const maxOutputLength = Math.ceil((width * height * bitsPerPixel) / 8) + 2 * (2 * height + 7);
  inflateSync(Buffer.concat(all.filter(({ type }) => type === 'IDAT').map(({ content }) => content)), {
    maxOutputLength,
  });
}

function corrupt(name: string, reason: string): InputError {
  return new InputError(`${name}: corrupt PNG (${reason}); get a fresh copy or save it again`);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

/** PNG specification, annex D. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (CRC_TABLE[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

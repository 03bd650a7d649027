import { InputError } from '../errors.ts';
import { applyOrientation } from './exif.ts';
import { type RgbImage, requireSize } from './image.ts';
import { decodeJpeg, readJpegHeader } from './jpeg.ts';
import { decodePng } from './png.ts';
import { readPngHeader } from './png-format.ts';

/** The longest side of a picture, which is JPEG's own limit. */
const LONGEST_SIDE = 65_535;

/** Limits on what is decoded. */
export interface DecodeLimits {
  /**
   * The most pixels a picture may have. Default 89,478,485, the number above which PIL warns of a 'decompression bomb':
   * a quarter of a gigabyte as RGB, and about four times as much while it is being decoded.
   */
  readonly maxPixels?: number;
}

const DEFAULT_MAX_PIXELS = 89_478_485;

/** Formats by the bytes that files of theirs have at the given offset. */
const FORMATS: readonly { name: string; offset: number; magic: string }[] = [
  { name: 'PNG', offset: 0, magic: '\x89PNG\r\n\x1a\n' },
  { name: 'JPEG', offset: 0, magic: '\xff\xd8\xff' },
  { name: 'GIF', offset: 0, magic: 'GIF8' },
  { name: 'WebP', offset: 8, magic: 'WEBP' },
  { name: 'AVIF', offset: 4, magic: 'ftypavi' },
  { name: 'HEIC', offset: 4, magic: 'ftyphei' },
  { name: 'HEIC', offset: 4, magic: 'ftypmif1' },
  { name: 'JPEG XL', offset: 0, magic: '\xff\x0a' },
  { name: 'JPEG XL', offset: 4, magic: 'JXL ' },
  { name: 'JPEG 2000', offset: 4, magic: 'jP  ' },
  { name: 'TIFF', offset: 0, magic: 'II*\0' },
  { name: 'TIFF', offset: 0, magic: 'MM\0*' },
  { name: 'BMP', offset: 0, magic: 'BM' },
  { name: 'SVG', offset: 0, magic: '<svg' },
  { name: 'SVG', offset: 0, magic: '<?xml' },
  { name: 'PDF', offset: 0, magic: '%PDF' },
];

/**
 * Decodes a PNG or JPEG, told apart by content, to the pixels that PIL gives with `Image.open`, `ImageOps.exif_transpose`
 * and `convert('RGB')`: upright, without alpha, 8 bits per channel. `name` is the file's name, for messages.
 * @throws InputError if it is not a picture of these formats, is truncated or corrupt, or has more than `maxPixels`
 *   pixels, which is found in its header before anything is decoded. UsageError if `maxPixels` is not a whole number.
 */
export async function decodeImage(bytes: Uint8Array, name: string, limits: DecodeLimits = {}): Promise<RgbImage> {
  const maxPixels = limits.maxPixels ?? DEFAULT_MAX_PIXELS;
  requireSize(maxPixels, 'maxPixels');
  switch (formatOf(bytes, name)) {
    case 'PNG': {
      const header = readPngHeader(bytes, name);
      checkSize(header, maxPixels, name);
      const { image, orientation } = await decodePng(bytes, header, name);
      return applyOrientation(image, orientation);
    }
    case 'JPEG': {
      const header = readJpegHeader(bytes, name);
      checkSize(header, maxPixels, name);
      return applyOrientation(await decodeJpeg(bytes, name), header.orientation);
    }
  }
}

function formatOf(bytes: Uint8Array, name: string): 'PNG' | 'JPEG' {
  if (bytes.length === 0) throw new InputError(`${name}: the file is empty; give a PNG or JPEG image`);
  const format = FORMATS.find(({ offset, magic }) => latin1(bytes, offset, magic.length) === magic)?.name;
  if (format === 'PNG' || format === 'JPEG') return format;
  if (format === undefined) throw new InputError(`${name}: not an image that is known; give a PNG or JPEG image`);
  throw new InputError(`${name}: this is a ${format} file; convert it to PNG or JPEG`);
}

function latin1(bytes: Uint8Array, offset: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + length));
}

function checkSize({ width, height }: { width: number; height: number }, maxPixels: number, name: string): void {
  if (width === 0 || height === 0) {
    throw new InputError(`${name}: its header says ${width}x${height} pixels; get a fresh copy`);
  }
  if (Math.max(width, height) > LONGEST_SIDE) {
    throw new InputError(`${name}: ${width}x${height} pixels: no side may be longer than ${LONGEST_SIDE}; crop it`);
  }
  if (width * height > maxPixels) {
    throw new InputError(`${name}: ${width}x${height} pixels are more than the limit of ${maxPixels}; reduce its size`);
  }
}

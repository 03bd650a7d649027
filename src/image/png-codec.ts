import { inflateSync } from 'node:zlib';
import { PNG } from 'pngjs';
import type { RgbImage } from './image.ts';
import { type Chunk, inflatedBytes, type PngHeader, RGB, SIGNATURE } from './png-format.ts';

/* PNG's pixels by pngjs. A bundle for browsers has png-codec.browser.ts in this place ("browser" in package.json). */

/**
 * The samples of a picture, [height, width, 4] as red, green, blue and alpha: in the header's bit depth, or for a palette
 * the 8 bits of its colours.
 * @throws Error if the image data is corrupt
 */
export function decodeSamples(chunks: readonly Chunk[], header: PngHeader): ArrayLike<number> {
  if (header.interlaced) checkInflatedSize(chunks, header);
  // Ancillary chunks (lower-case initial) are left out: with tRNS, pngjs would blacken the pixels of the transparent
  // colour, where PIL keeps it.
  const critical = chunks.filter(({ type }) => /^[A-Z]/.test(type)).map(({ bytes }) => bytes);
  return PNG.sync.read(Buffer.concat([SIGNATURE, ...critical]), { checkCRC: false, skipRescale: true }).data;
}

/** The picture as a PNG file of 8-bit RGB. */
export function encodeRgb({ width, height, data }: RgbImage): Uint8Array {
  const png = new PNG({ width, height });
  png.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return PNG.sync.write(png, { colorType: RGB, inputColorType: RGB, inputHasAlpha: false });
}

/** pngjs inflates an interlaced picture without any limit, so that a small file could claim all memory. */
function checkInflatedSize(chunks: readonly Chunk[], header: PngHeader): void {
  const data = chunks.filter(({ type }) => type === 'IDAT').map(({ content }) => content);
  inflateSync(Buffer.concat(data), { maxOutputLength: inflatedBytes(header) });
}

import { messageOf } from '../errors.ts';
import { exifOrientation } from './exif.ts';
import { type RgbImage, withoutAlpha } from './image.ts';
import { type Chunk, chunks, corruptPng, PALETTE, type PngHeader } from './png-format.ts';

/**
 * Decodes a PNG to what PIL's `convert('RGB')` gives: alpha and transparent colours are dropped, of 16 bits the high byte
 * is kept. (Only of 16-bit *grey* PIL clips the value at 255 instead, which turns the picture white; here it is treated as
 * the other kinds are.) Of an animation it is the first picture.
 * @throws InputError if the file is truncated or corrupt.
 */
export async function decodePng(
  bytes: Uint8Array,
  header: PngHeader,
  name: string,
): Promise<{ image: RgbImage; orientation: number }> {
  const all = [...chunks(bytes, name)];
  const exif = all.find(({ type }) => type === 'eXIf');
  const pixels = await readPixels(all, header, name);
  return {
    image: withoutAlpha(pixels, header.width, header.height),
    orientation: exif ? exifOrientation(exif.content) : 1,
  };
}

/** [height, width, 4] in 8 bits. */
async function readPixels(all: readonly Chunk[], header: PngHeader, name: string): Promise<ArrayLike<number>> {
  const { decodeSamples } = await import('./png-codec.ts');
  try {
    const samples = decodeSamples(all, header);
    return to8Bits(samples, header.colourType === PALETTE ? 8 : header.bitDepth);
  } catch (thrown) {
    throw corruptPng(name, messageOf(thrown));
  }
}

function to8Bits(samples: ArrayLike<number>, bitDepth: number): ArrayLike<number> {
  if (bitDepth === 8) return samples;
  if (bitDepth === 16) return Uint8Array.from(samples, (sample) => sample >> 8);
  const step = 255 / (2 ** bitDepth - 1);
  return Uint8Array.from(samples, (sample) => sample * step);
}

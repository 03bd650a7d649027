import type { RgbImage } from './image.ts';

/** The image as the bytes of a PNG file: 8-bit RGB, lossless. */
export async function encodePng(image: RgbImage): Promise<Uint8Array> {
  const { encodeRgb } = await import('./png-codec.ts');
  return encodeRgb(image);
}

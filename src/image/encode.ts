import type { RgbImage } from './image.ts';

const RGB = 2; // PNG's colour type

/** The image as the bytes of a PNG file: 8-bit RGB, lossless. */
export async function encodePng({ width, height, data }: RgbImage): Promise<Uint8Array> {
  const { PNG } = await import('pngjs');
  const png = new PNG({ width, height });
  png.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return PNG.sync.write(png, { colorType: RGB, inputColorType: RGB, inputHasAlpha: false });
}

import type { RgbImage } from './image.ts';

const ORIENTATION_TAG = 0x0112;
const TYPE_SHORT = 3;
const ENTRY_BYTES = 12;

/**
 * The orientation (1 to 8, Exif 2.32 section 4.6.4) in a TIFF block, which is what an Exif segment or chunk holds.
 * 1, 'upright', where it says nothing or cannot be read: a photograph with a bad Exif block is still a photograph.
 */
export function exifOrientation(tiff: Uint8Array): number {
  if (tiff.length < 8) return 1;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const littleEndian = view.getUint16(0) === 0x4949; // 'II'; 'MM' is big-endian
  const directory = view.getUint32(4, littleEndian);
  if (directory + 2 > tiff.length) return 1;
  const entries = view.getUint16(directory, littleEndian);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + i * ENTRY_BYTES;
    if (entry + ENTRY_BYTES > tiff.length) return 1;
    if (view.getUint16(entry, littleEndian) !== ORIENTATION_TAG) continue;
    const value = view.getUint16(entry + 8, littleEndian);
    return view.getUint16(entry + 2, littleEndian) === TYPE_SHORT && value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** The image turned and mirrored so that it is upright, as PIL's `ImageOps.exif_transpose` does. */
export function applyOrientation(image: RgbImage, orientation: number): RgbImage {
  if (orientation === 1) return image;
  const transposed = orientation >= 5;
  const mirroredX = [2, 3, 7, 8].includes(orientation);
  const mirroredY = [3, 4, 6, 7].includes(orientation);
  const width = transposed ? image.height : image.width;
  const height = transposed ? image.width : image.height;
  const data = new Uint8Array(image.data.length);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const column = transposed ? y : x;
      const row = transposed ? x : y;
      const sourceX = mirroredX ? image.width - 1 - column : column;
      const sourceY = mirroredY ? image.height - 1 - row : row;
      const from = (sourceY * image.width + sourceX) * 3;
      data[to++] = image.data[from] ?? 0;
      data[to++] = image.data[from + 1] ?? 0;
      data[to++] = image.data[from + 2] ?? 0;
    }
  }
  return { width, height, data };
}

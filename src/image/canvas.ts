import { filledImage, type Rectangle, type Rgb, type RgbImage } from './image.ts';

const WHITE: Rgb = [255, 255, 255];

/** A white image to draw into. */
export function canvas(width: number, height: number): RgbImage {
  return filledImage(width, height, WHITE);
}

/** Copies `image` into `target` with its top left corner at (x, y); it must fit. */
export function paintImage(target: RgbImage, image: RgbImage, x: number, y: number): void {
  const stride = image.width * 3;
  for (let row = 0; row < image.height; row++) {
    const line = image.data.subarray(row * stride, (row + 1) * stride);
    target.data.set(line, ((y + row) * target.width + x) * 3);
  }
}

/** Fills a rectangle of whole pixels; it must fit. */
export function paintRectangle(target: RgbImage, { x, y, width, height }: Rectangle, colour: Rgb): void {
  paintImage(target, filledImage(width, height, colour), x, y);
}

/* An icon redrawn, so that the network cannot learn the hands of a few artists by heart. Pictures are premultiplied RGBA. */

/** How much the colour must change from one pixel to the next but one for a line, of 3 * 255. */
const EDGE = 65;
/** Shades of each channel. */
const SHADES = 3;

/** Flat colours within black lines. */
export function drawn(pixels: Uint8ClampedArray): Uint8ClampedArray {
  const step = 255 / SHADES;
  return withLines(pixels, (value) => Math.round(value / step) * step);
}

/** Black lines on white. */
export function lineArt(pixels: Uint8ClampedArray): Uint8ClampedArray {
  return withLines(pixels, () => 255);
}

function withLines(pixels: Uint8ClampedArray, paint: (value: number) => number): Uint8ClampedArray {
  const size = Math.sqrt(pixels.length / 4);
  const smooth = blur(pixels, size);
  const line = soften(edges(smooth, size), size);
  const result = new Uint8ClampedArray(pixels.length);
  for (let i = 0; i < size * size; i++) {
    const alpha = pixels[4 * i + 3] ?? 0;
    const ink = line[i] ?? 0;
    for (let c = 0; c < 3; c++) {
      const colour =
        alpha === 0 ? 0 : paint(Math.min(255, (255 * (smooth[4 * i + c] ?? 0)) / Math.max(smooth[4 * i + 3] ?? 1, 1)));
      result[4 * i + c] = ((colour * alpha) / 255) * (1 - ink);
    }
    result[4 * i + 3] = Math.max(alpha, 255 * ink);
  }
  return result;
}

/** The mean of each pixel and its neighbours. */
function blur(pixels: Uint8ClampedArray, size: number): Uint8ClampedArray {
  const result = new Uint8ClampedArray(pixels.length);
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < size - 1; x++) {
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let dy = -1; dy <= 1; dy++) {
          for (let dx = -1; dx <= 1; dx++) sum += pixels[4 * ((y + dy) * size + x + dx) + c] ?? 0;
        }
        result[4 * (y * size + x) + c] = sum / 9;
      }
    }
  }
  return result;
}

/** 1 where the colour or the transparency changes at once, else 0. */
function edges(pixels: Uint8ClampedArray, size: number): Float32Array {
  const result = new Float32Array(size * size);
  const difference = (a: number, b: number, c: number) => Math.abs((pixels[4 * a + c] ?? 0) - (pixels[4 * b + c] ?? 0));
  for (let y = 1; y < size - 1; y++) {
    for (let x = 1; x < size - 1; x++) {
      const i = y * size + x;
      let change = 0;
      for (let c = 0; c < 3; c++) change += Math.hypot(difference(i - 1, i + 1, c), difference(i - size, i + size, c));
      const border = Math.hypot(difference(i - 1, i + 1, 3), difference(i - size, i + size, 3)) > 90;
      if (change > EDGE || border) result[i] = 1;
    }
  }
  return result;
}

/** Lines without stairs. */
function soften(line: Float32Array, size: number): Float32Array {
  return line.map((value, i) => {
    const around = (line[i - 1] ?? 0) + (line[i + 1] ?? 0) + (line[i - size] ?? 0) + (line[i + size] ?? 0);
    return Math.min(1, value * 0.6 + around * 0.15);
  });
}

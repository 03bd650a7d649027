/** A square picture with transparency: premultiplied RGBA. */
export interface Level {
  readonly size: number;
  readonly pixels: Uint8ClampedArray;
}

/** The level of half the size. */
export function halve({ size, pixels }: Level): Level {
  const half = size / 2;
  const result = new Uint8ClampedArray(4 * half * half);
  for (let y = 0; y < half; y++) {
    for (let x = 0; x < half; x++) {
      for (let c = 0; c < 4; c++) {
        const from = 4 * (2 * y * size + 2 * x) + c;
        const sum =
          (pixels[from] ?? 0) +
          (pixels[from + 4] ?? 0) +
          (pixels[from + 4 * size] ?? 0) +
          (pixels[from + 4 * size + 4] ?? 0);
        result[4 * (y * half + x) + c] = sum / 4;
      }
    }
  }
  return { size: half, pixels: result };
}

/** Premultiplied RGBA between the four pixels around (u, v), into `colour`; nothing outside. */
export function sample({ size, pixels }: Level, u: number, v: number, colour: Float64Array): void {
  const u0 = Math.floor(u);
  const v0 = Math.floor(v);
  if (u0 < 0 || v0 < 0 || u0 >= size - 1 || v0 >= size - 1) {
    colour.fill(0);
    return;
  }
  const [s, t] = [u - u0, v - v0];
  const above = 4 * (v0 * size + u0);
  const below = above + 4 * size;
  for (let c = 0; c < 4; c++) {
    const upper = (1 - s) * (pixels[above + c] ?? 0) + s * (pixels[above + 4 + c] ?? 0);
    const lower = (1 - s) * (pixels[below + c] ?? 0) + s * (pixels[below + 4 + c] ?? 0);
    colour[c] = (1 - t) * upper + t * lower;
  }
}

/** A turn about the centre followed by a shift. */
export interface Motion {
  /** In radians. */
  readonly angle: number;
  /** Shift to the right and down, as fractions of the sides. */
  readonly right: number;
  readonly down: number;
}

/** A sparse matrix: row r has the entries from `starts[r]` up to `starts[r + 1]`. */
export interface Sparse {
  readonly starts: Int32Array;
  readonly columns: Int32Array;
  readonly weights: Float32Array;
}

/**
 * The matrix that moves an image of height x width pixels, by bilinear interpolation; what comes in from outside is 0.
 * Pixel (y,x) of the result is at the place that the motion takes there.
 */
export function motionMatrix(height: number, width: number, { angle, right, down }: Motion): Sparse {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [centreY, centreX] = [(height - 1) / 2, (width - 1) / 2];
  const starts = new Int32Array(height * width + 1);
  const columns: number[] = [];
  const weights: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const v = y - centreY - down * height;
      const u = x - centreX - right * width;
      const [fromY, fromX] = [centreY + cos * v - sin * u, centreX + sin * v + cos * u];
      const [top, left] = [Math.floor(fromY), Math.floor(fromX)];
      for (const [row, column] of [
        [top, left],
        [top, left + 1],
        [top + 1, left],
        [top + 1, left + 1],
      ] as const) {
        const weight = (1 - Math.abs(fromY - row)) * (1 - Math.abs(fromX - column));
        if (weight <= 0 || row < 0 || row >= height || column < 0 || column >= width) continue;
        columns.push(row * width + column);
        weights.push(weight);
      }
      starts[y * width + x + 1] = columns.length;
    }
  }
  return { starts, columns: Int32Array.from(columns), weights: Float32Array.from(weights) };
}

/** The rows of a matrix for an image of height x width pixels, averaged over blocks of size x size of them. */
export function blockMeans(matrix: Sparse, height: number, width: number, size: number): Sparse {
  const starts = [0];
  const columns: number[] = [];
  const weights: number[] = [];
  for (let y = 0; y < height; y += size) {
    for (let x = 0; x < width; x += size) {
      for (let i = 0; i < size * size; i++) {
        const row = (y + Math.floor(i / size)) * width + x + (i % size);
        for (let entry = matrix.starts[row] ?? 0; entry < (matrix.starts[row + 1] ?? 0); entry++) {
          columns.push(matrix.columns[entry] ?? 0);
          weights.push((matrix.weights[entry] ?? 0) / (size * size));
        }
      }
      starts.push(columns.length);
    }
  }
  return { starts: Int32Array.from(starts), columns: Int32Array.from(columns), weights: Float32Array.from(weights) };
}

/** The product with a vector. */
export function apply({ starts, columns, weights }: Sparse, x: ArrayLike<number>): Float64Array {
  const result = new Float64Array(starts.length - 1);
  for (let row = 0; row < result.length; row++) {
    let sum = 0;
    for (let entry = starts[row] ?? 0; entry < (starts[row + 1] ?? 0); entry++) {
      sum += (weights[entry] ?? 0) * (x[columns[entry] ?? 0] ?? 0);
    }
    result[row] = sum;
  }
  return result;
}

/** Adds the product of the transposed matrix with a vector to `target`. */
export function addTransposed({ starts, columns, weights }: Sparse, y: ArrayLike<number>, target: Float64Array): void {
  for (let row = 0; row < starts.length - 1; row++) {
    const value = y[row] ?? 0;
    if (value === 0) continue;
    for (let entry = starts[row] ?? 0; entry < (starts[row + 1] ?? 0); entry++) {
      const column = columns[entry] ?? 0;
      target[column] = (target[column] ?? 0) + (weights[entry] ?? 0) * value;
    }
  }
}

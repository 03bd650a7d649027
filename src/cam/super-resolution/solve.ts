import { addTransposed, apply, type Sparse } from './warp.ts';

/** What is known of an image h of height x width pixels: views of it, each the product of h with a matrix. */
export interface Views {
  readonly height: number;
  readonly width: number;
  readonly matrices: readonly Sparse[];
  readonly observed: readonly ArrayLike<number>[];
}

export interface Regularisation {
  /** Of the total variation, in units of the largest observed magnitude. */
  readonly smoothness: number;
  /** Of the squared norm. */
  readonly damping: number;
}

/** Gradients below this fraction of the largest observation count as flat, so that the total variation has a derivative. */
const FLAT = 0.01;

/**
 * The image h with the least 1/2 sum over views of ||A h - g||^2 + smoothness TV(h) + damping / 2 ||h||^2, by gradient
 * descent from 0. The step is the reciprocal of a bound on the curvature, so that the sum never grows.
 */
export function* solve(views: Views, { smoothness, damping }: Regularisation): Generator<Float64Array, never> {
  const { height, width, matrices, observed } = views;
  const scale = observed.reduce((most, view) => Math.max(most, largest(view)), 0) || 1;
  // ||A||^2 <= max row sum times max column sum; the second difference of a pixel is at most 8 / FLAT.
  const curvature = matrices.reduce((sum, matrix) => sum + bound(matrix, height * width), 0);
  const step = 1 / (curvature + (8 * smoothness) / FLAT + damping);
  const h = new Float64Array(height * width);
  for (;;) {
    const gradient = h.map((value) => damping * value);
    for (const [i, matrix] of matrices.entries()) {
      const target = observed[i] ?? [];
      addTransposed(
        matrix,
        apply(matrix, h).map((value, row) => value - (target[row] ?? 0) / scale),
        gradient,
      );
    }
    if (smoothness > 0) addVariation(h, height, width, smoothness, gradient);
    for (let i = 0; i < h.length; i++) h[i] = (h[i] ?? 0) - step * (gradient[i] ?? 0);
    yield h.map((value) => value * scale);
  }
}

/** Adds the derivative of smoothness times the sum over pixels of sqrt(dx^2 + dy^2 + FLAT^2). */
function addVariation(
  h: Float64Array,
  height: number,
  width: number,
  smoothness: number,
  gradient: Float64Array,
): void {
  const add = (i: number, value: number) => {
    gradient[i] = (gradient[i] ?? 0) + value;
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const dx = x + 1 < width ? (h[i + 1] ?? 0) - (h[i] ?? 0) : 0;
      const dy = y + 1 < height ? (h[i + width] ?? 0) - (h[i] ?? 0) : 0;
      const slope = smoothness / Math.sqrt(dx * dx + dy * dy + FLAT * FLAT);
      add(i, -slope * (dx + dy));
      if (x + 1 < width) add(i + 1, slope * dx);
      if (y + 1 < height) add(i + width, slope * dy);
    }
  }
}

function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i] ?? 0));
  return most;
}

/** The largest row sum times the largest column sum of a matrix without negative entries. */
function bound({ starts, columns, weights }: Sparse, width: number): number {
  const columnSums = new Float64Array(width);
  let most = 0;
  for (let row = 0; row < starts.length - 1; row++) {
    let sum = 0;
    for (let entry = starts[row] ?? 0; entry < (starts[row + 1] ?? 0); entry++) {
      sum += weights[entry] ?? 0;
      const column = columns[entry] ?? 0;
      columnSums[column] = (columnSums[column] ?? 0) + (weights[entry] ?? 0);
    }
    most = Math.max(most, sum);
  }
  return most * largest(columnSums);
}

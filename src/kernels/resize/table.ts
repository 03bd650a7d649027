/** The modes of `resize`. */
export const RESIZE_MODES = ['nearest', 'bilinear', 'bicubic'] as const;
export type ResizeMode = (typeof RESIZE_MODES)[number];

/**
 * A sparse matrix [rows, columns] with the same number of entries, its taps, in each row. Interpolation along an axis is
 * the product with such a matrix, whose columns are the positions of the input; its gradient, that with the transpose.
 */
export interface InterpolationTable {
  readonly rows: number;
  readonly columns: number;
  readonly taps: number;
  /** [rows, taps]: columns. A column that comes twice in one row counts twice. */
  readonly indices: Int32Array;
  /** [rows, taps] */
  readonly weights: Float32Array;
}

/** The first position that a result is made from, and the weights of that one and its successors. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

/** The matrix that resizes an axis of `from` positions to `to`, as torch.nn.functional.interpolate does. */
export function interpolationTable(
  mode: ResizeMode,
  from: number,
  to: number,
  alignCorners: boolean,
): InterpolationTable {
  const rows = Array.from({ length: to }, (_, row) => tapsOf(mode, row, from, to, alignCorners));
  // Beyond the border the last position repeats.
  const indices = rows.flatMap(({ first, weights }) =>
    weights.map((_, tap) => Math.min(Math.max(first + tap, 0), from - 1)),
  );
  const weights = rows.flatMap((row) => row.weights);
  return {
    rows: to,
    columns: from,
    taps: weights.length / to,
    indices: Int32Array.from(indices),
    weights: Float32Array.from(weights),
  };
}

function tapsOf(mode: ResizeMode, row: number, from: number, to: number, alignCorners: boolean): Taps {
  if (mode === 'nearest') return { first: nearest(row, from, to), weights: [1] };
  const position = alignCorners ? cornerAligned(row, from, to) : ((row + 0.5) * from) / to - 0.5;
  const before = Math.floor(position);
  const t = position - before;
  if (mode === 'bilinear') return { first: before, weights: [1 - t, t] };
  return { first: before - 1, weights: [1 + t, t, 1 - t, 2 - t].map(cubicConvolution) };
}

/** floor(row from / to), in float32 as PyTorch computes it, which for some sizes differs from the exact quotient. */
function nearest(row: number, from: number, to: number): number {
  return Math.floor(Math.fround(row * Math.fround(from / to)));
}

/** The first and the last positions of both axes coincide. */
function cornerAligned(row: number, from: number, to: number): number {
  return to === 1 ? 0 : (row * (from - 1)) / (to - 1);
}

/** The kernel of cubic convolution at distance 0 <= d <= 2 (Keys 1981), with PyTorch's a = -0.75. */
function cubicConvolution(d: number): number {
  const a = -0.75;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return ((d - 5) * d + 8) * d * a - 4 * a;
}

/** The transposed matrix; rows with fewer entries than others are filled up with zeros. */
export function transposeTable({ rows, columns, taps, indices, weights }: InterpolationTable): InterpolationTable {
  const entries: { row: number; weight: number }[][] = Array.from({ length: columns }, () => []);
  for (const [entry, column] of indices.entries()) {
    entries[column]?.push({ row: Math.floor(entry / taps), weight: weights[entry] ?? 0 });
  }
  const most = Math.max(...entries.map(({ length }) => length));
  const filled = entries.flatMap((list) =>
    Array.from({ length: most }, (_, tap) => list[tap] ?? { row: 0, weight: 0 }),
  );
  return {
    rows: columns,
    columns: rows,
    taps: most,
    indices: Int32Array.from(filled, ({ row }) => row),
    weights: Float32Array.from(filled, ({ weight }) => weight),
  };
}

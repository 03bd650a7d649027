/** X [rows, columns] is about W [rows, parts] times H [parts, columns]; all row-major. */
export interface Factors {
  readonly W: Float64Array;
  readonly H: Float64Array;
}

export interface Matrix {
  readonly data: ArrayLike<number>;
  readonly rows: number;
  readonly columns: number;
}

/** Nothing falls below this fraction of the largest value of X: a part that was zero throughout could never come back. */
const FLOOR = 1e-16;

/** A remainder of this size, relative to the largest value of X, is rounding. */
const NEGLIGIBLE = 1e-6;

/**
 * Non-negative matrix factorisation: W and H without negative values, near the least ||X - W H||^2, by hierarchical
 * alternating least squares (Cichocki and Phan 2009): one part after the other takes its best values while the others
 * stand still, so that the distance never grows. The rows of H have norm 1, and parts are ordered by the norms of the
 * columns of W.
 *
 * A generator: it gives control back after each round, of which there are as many as the caller asks for.
 * @param X without negative values
 */
export function* nonNegativeFactors(X: Matrix, parts: number): Generator<Factors, never> {
  const { rows, columns } = X;
  const floor = FLOOR * largest(X.data);
  const W = new Float64Array(rows * parts);
  const H = distantRows(X, parts);
  for (;;) {
    improve(W, parts, timesTransposed(X, H, parts), gramOfRows(H, parts, columns), floor);
    normaliseRows(H, W, parts, columns);
    const Ht = transposed(H, parts, columns);
    improve(Ht, parts, transposedTimes(X, W, parts), gramOfColumns(W, rows, parts), floor);
    H.set(transposed(Ht, columns, parts));
    normaliseRows(H, W, parts, columns);
    yield ordered({ W, H }, rows, columns, parts);
  }
}

/**
 * What H begins with: the row of X with the largest norm, then the one with the largest part that is orthogonal to those
 * taken already, and so on (successive projection, Araujo et al. 2001), each with norm 1. Where nothing is left, all columns
 * count alike.
 */
function distantRows({ data, rows, columns }: Matrix, parts: number): Float64Array {
  const rest = Float64Array.from(data);
  const H = new Float64Array(parts * columns).fill(1 / Math.sqrt(columns));
  for (let k = 0; k < parts; k++) {
    const norms = Array.from({ length: rows }, (_, i) => normOf(rest.subarray(i * columns, (i + 1) * columns)));
    const norm = largest(norms);
    if (norm <= NEGLIGIBLE * largest(data)) break;
    const farthest = norms.indexOf(norm);
    for (let j = 0; j < columns; j++) H[k * columns + j] = data[farthest * columns + j] ?? 0;
    const direction = rest.slice(farthest * columns, (farthest + 1) * columns).map((value) => value / norm);
    for (let i = 0; i < rows; i++) removeDirection(rest.subarray(i * columns, (i + 1) * columns), direction);
  }
  normaliseRows(H, new Float64Array(parts), parts, columns);
  return H;
}

function removeDirection(row: Float64Array, direction: Float64Array): void {
  let along = 0;
  for (let j = 0; j < row.length; j++) along += (row[j] ?? 0) * (direction[j] ?? 0);
  for (let j = 0; j < row.length; j++) row[j] = (row[j] ?? 0) - along * (direction[j] ?? 0);
}

function normOf(row: Float64Array): number {
  return Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
}

function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i] ?? 0);
  return most;
}

/** One round for a factor F [length, parts] whose products with the other factor are P, and the other's with itself G. */
function improve(F: Float64Array, parts: number, P: Float64Array, G: Float64Array, floor: number): void {
  for (let k = 0; k < parts; k++) {
    const own = G[k * parts + k] ?? 0;
    if (own === 0) continue;
    for (let i = 0; i < F.length; i += parts) {
      let rest = P[i + k] ?? 0;
      for (let l = 0; l < parts; l++) rest -= (F[i + l] ?? 0) * (G[l * parts + k] ?? 0);
      F[i + k] = Math.max(floor, (F[i + k] ?? 0) + rest / own);
    }
  }
}

/** X H^T, [rows, parts] */
function timesTransposed({ data, rows, columns }: Matrix, H: Float64Array, parts: number): Float64Array {
  const result = new Float64Array(rows * parts);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < parts; k++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += (data[i * columns + j] ?? 0) * (H[k * columns + j] ?? 0);
      result[i * parts + k] = sum;
    }
  }
  return result;
}

/** X^T W, [columns, parts] */
function transposedTimes({ data, rows, columns }: Matrix, W: Float64Array, parts: number): Float64Array {
  const result = new Float64Array(columns * parts);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const x = data[i * columns + j] ?? 0;
      if (x === 0) continue;
      for (let k = 0; k < parts; k++) {
        const to = j * parts + k;
        result[to] = (result[to] ?? 0) + x * (W[i * parts + k] ?? 0);
      }
    }
  }
  return result;
}

/** W^T W, [parts, parts] */
function gramOfColumns(W: Float64Array, rows: number, parts: number): Float64Array {
  return gramOfRows(transposed(W, rows, parts), parts, rows);
}

/** H H^T, [parts, parts] */
function gramOfRows(H: Float64Array, parts: number, columns: number): Float64Array {
  const result = new Float64Array(parts * parts);
  for (let k = 0; k < parts; k++) {
    for (let l = 0; l < parts; l++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += (H[k * columns + j] ?? 0) * (H[l * columns + j] ?? 0);
      result[k * parts + l] = sum;
    }
  }
  return result;
}

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  return matrix.map((_, i) => matrix[(i % rows) * columns + Math.floor(i / rows)] ?? 0);
}

/** Moves the norms of the rows of H to the columns of W. */
function normaliseRows(H: Float64Array, W: Float64Array, parts: number, columns: number): void {
  for (let k = 0; k < parts; k++) {
    const row = H.subarray(k * columns, (k + 1) * columns);
    const norm = normOf(row);
    if (norm === 0) continue;
    for (let j = 0; j < columns; j++) row[j] = (row[j] ?? 0) / norm;
    for (let i = k; i < W.length; i += parts) W[i] = (W[i] ?? 0) * norm;
  }
}

function ordered({ W, H }: Factors, rows: number, columns: number, parts: number): Factors {
  const strength = Array.from({ length: parts }, (_, k) => {
    let sum = 0;
    for (let i = k; i < W.length; i += parts) sum += (W[i] ?? 0) ** 2;
    return sum;
  });
  const order = strength.map((_, k) => k).sort((k, l) => (strength[l] ?? 0) - (strength[k] ?? 0));
  const from = (k: number) => order[k] ?? 0;
  return {
    W: Float64Array.from({ length: rows * parts }, (_, i) => W[i - (i % parts) + from(i % parts)] ?? 0),
    H: Float64Array.from(
      { length: parts * columns },
      (_, i) => H[from(Math.floor(i / columns)) * columns + (i % columns)] ?? 0,
    ),
  };
}

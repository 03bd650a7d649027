import { narrow, widen } from '../core/double.as';
import { VECTOR } from '../core/vector.as';

/** y[o, r, i] = sum over taps t of weights[r, t] * x[o, indices[r, t], i], all of them dense. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Interpolation {
  x: usize;
  y: usize;
  /** [rows, taps] */
  indices: usize;
  weights: usize;
  taps: usize;
  rows: usize;
  columns: usize;
  inner: usize;
}

/** Lines y[o, r] with o * rows + r from `begin` to `end`; sums are double precision. */
export function interpolate(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const table = changetype<Interpolation>(job);
  const bytes = table.inner * 4;
  let o = begin / table.rows;
  let r = begin % table.rows;
  for (let line = begin; line < end; line++) {
    const entries = 4 * r * table.taps;
    const from = table.x + o * table.columns * bytes;
    interpolateLine(table, table.indices + entries, table.weights + entries, from, table.y + line * bytes, bytes);
    r += 1;
    if (r == table.rows) {
      r = 0;
      o += 1;
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function interpolateLine(
  table: Interpolation,
  indices: usize,
  weights: usize,
  x: usize,
  y: usize,
  bytes: usize,
): void {
  const vectors = bytes - (bytes % VECTOR);
  const last: usize = 4 * table.taps;
  for (let i: usize = 0; i < vectors; i += VECTOR) {
    let low = f64x2.splat(0);
    let high = f64x2.splat(0);
    for (let t: usize = 0; t < last; t += 4) {
      const weight = f64x2.splat(<f64>load<f32>(weights + t));
      const from = x + load<usize>(indices + t) * bytes + i;
      low = f64x2.add(low, f64x2.mul(weight, widen(from)));
      high = f64x2.add(high, f64x2.mul(weight, widen(from + VECTOR / 2)));
    }
    v128.store(y + i, narrow(low, high));
  }
  for (let i = vectors; i < bytes; i += 4) {
    let sum: f64 = 0;
    for (let t: usize = 0; t < last; t += 4) {
      sum += <f64>load<f32>(weights + t) * <f64>load<f32>(x + load<usize>(indices + t) * bytes + i);
    }
    store<f32>(y + i, <f32>sum);
  }
}

/*
 * Elementwise functions of networks that fuse them into no convolution. The operands are `rows` rows of `row` bytes; those
 * of y follow each other, those of an argument begin `stride` bytes behind each other (0: the same row again).
 * Arithmetic rounds once, as in TypeScript: the results are the same, bit for bit.
 */

const VECTOR: usize = 16;

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Pointwise {
  y: usize;
  a: usize;
  b: usize;
  c: usize;
  /** Bytes of a row. */
  row: usize;
  strideA: usize;
  strideB: usize;
  strideC: usize;
}

/** y = a + b in rows `begin` to `end`; the sum of two floats needs no double precision to be rounded once. */
export function add(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const rows = changetype<Pointwise>(job);
  const vectors = rows.row - (rows.row % VECTOR);
  for (let r = begin; r < end; r++) {
    const y = rows.y + r * rows.row;
    const a = rows.a + r * rows.strideA;
    const b = rows.b + r * rows.strideB;
    for (let i: usize = 0; i < vectors; i += VECTOR) {
      v128.store(y + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
    }
    for (let i = vectors; i < rows.row; i += 4) store<f32>(y + i, load<f32>(a + i) + load<f32>(b + i));
  }
}

/** y = a * b + c in rows `begin` to `end` */
export function multiplyAdd(job: usize, begin: usize, end: usize, _scratch: usize): void {
  multiplyAddMax(changetype<Pointwise>(job), begin, end, -Infinity);
}

/** y = max(a * b + c, 0) in rows `begin` to `end` */
export function multiplyAddRelu(job: usize, begin: usize, end: usize, _scratch: usize): void {
  multiplyAddMax(changetype<Pointwise>(job), begin, end, 0);
}

/** The maximum with `least` lets a NaN come through. */
function multiplyAddMax(rows: Pointwise, begin: usize, end: usize, least: f32): void {
  const vectors = rows.row - (rows.row % VECTOR);
  for (let r = begin; r < end; r++) {
    const y = rows.y + r * rows.row;
    const a = rows.a + r * rows.strideA;
    const b = rows.b + r * rows.strideB;
    const c = rows.c + r * rows.strideC;
    for (let i: usize = 0; i < vectors; i += VECTOR) {
      const low = multiplyAddPair(a + i, b + i, c + i);
      const high = multiplyAddPair(a + i + VECTOR / 2, b + i + VECTOR / 2, c + i + VECTOR / 2);
      const value = v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
      v128.store(y + i, f32x4.max(value, f32x4.splat(least)));
    }
    for (let i = vectors; i < rows.row; i += 4) {
      const value = <f64>load<f32>(a + i) * <f64>load<f32>(b + i) + <f64>load<f32>(c + i);
      store<f32>(y + i, max<f32>(<f32>value, least));
    }
  }
}

/** a * b + c in double precision, of the two floats at each address. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function multiplyAddPair(a: usize, b: usize, c: usize): v128 {
  return f64x2.add(f64x2.mul(promote(a), promote(b)), promote(c));
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function promote(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at));
}

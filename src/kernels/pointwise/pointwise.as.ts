/*
 * Elementwise functions of networks that fuse them into no convolution. The operands are `rows` rows of `row` bytes; those
 * of y follow each other, those of an argument begin `stride` bytes behind each other (0: the same row again).
 * Arithmetic rounds once, as in TypeScript: the results are the same, bit for bit.
 */

const VECTOR: usize = 16;

/** y = a + b; the sum of two floats needs no double precision to be rounded once. */
export function add(y: usize, a: usize, b: usize, rows: usize, row: usize, strideA: usize, strideB: usize): void {
  const vectors = row - (row % VECTOR);
  for (let r: usize = 0; r < rows; r++) {
    for (let i: usize = 0; i < vectors; i += VECTOR) {
      v128.store(y + i, f32x4.add(v128.load(a + i), v128.load(b + i)));
    }
    for (let i = vectors; i < row; i += 4) store<f32>(y + i, load<f32>(a + i) + load<f32>(b + i));
    y += row;
    a += strideA;
    b += strideB;
  }
}

/** y = a * b + c, and 0 instead where that is negative and `relu` is set */
export function multiplyAdd(
  y: usize,
  a: usize,
  b: usize,
  c: usize,
  rows: usize,
  row: usize,
  strideA: usize,
  strideB: usize,
  strideC: usize,
  relu: bool,
): void {
  // The maximum with it lets a NaN come through.
  const least: f32 = relu ? 0 : -Infinity;
  const vectors = row - (row % VECTOR);
  for (let r: usize = 0; r < rows; r++) {
    for (let i: usize = 0; i < vectors; i += VECTOR) {
      const low = multiplyAddPair(a + i, b + i, c + i);
      const high = multiplyAddPair(a + i + VECTOR / 2, b + i + VECTOR / 2, c + i + VECTOR / 2);
      const value = v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
      v128.store(y + i, f32x4.max(value, f32x4.splat(least)));
    }
    for (let i = vectors; i < row; i += 4) {
      const value = <f64>load<f32>(a + i) * <f64>load<f32>(b + i) + <f64>load<f32>(c + i);
      store<f32>(y + i, max<f32>(<f32>value, least));
    }
    y += row;
    a += strideA;
    b += strideB;
    c += strideC;
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

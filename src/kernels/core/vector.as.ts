/** Bytes of a vector register. */
export const VECTOR: usize = 16;

/** a * b + sum: rounded once in the build with relaxed SIMD, on hardware that can. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, sum) : f32x4.add(f32x4.mul(a, b), sum);
}

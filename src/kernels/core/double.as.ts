/* Functions that float32 needs more than its own precision for, on two doubles at once. */

/** The two floats at an address as doubles. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function widen(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at));
}

/** The two last floats of four in first place. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function upper(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 2, 3, 2, 3);
}

/** Two pairs of doubles as four floats. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function narrow(low: v128, high: v128): v128 {
  return v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}

// @ts-ignore: a decorator of AssemblyScript
@inline
export function select(condition: v128, yes: v128, no: v128): v128 {
  return v128.bitselect(yes, no, condition);
}

/** sum * x + c: a step of Horner's scheme. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function horner(sum: v128, x: v128, c: f64): v128 {
  return f64x2.add(f64x2.mul(sum, x), f64x2.splat(c));
}

/** 1.5 * 2^52: added to a small whole number, it brings that number's bits to the lowest place. */
const SHIFT: f64 = 6755399441055744;
const LOG2_E: f64 = 1.4426950408889634;
const LN_2: f64 = 0.6931471805599453;
/** Below, exp(x) is no normal double; it counts as 0. */
const LOWEST: f64 = -708;

/** x = n ln 2 + r with |r| <= ln(2) / 2: n. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function halvings(x: v128): v128 {
  const clamped = f64x2.min(f64x2.max(x, f64x2.splat(LOWEST)), f64x2.splat(709));
  return f64x2.nearest(f64x2.mul(clamped, f64x2.splat(LOG2_E)));
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function powerOf2(n: v128): v128 {
  return i64x2.shl(f64x2.add(n, f64x2.splat(SHIFT + 1023)), 52);
}

/** exp(r) - 1 for |r| <= ln(2) / 2, by Taylor's series to r^9. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function smallExpm1(r: v128): v128 {
  let sum = f64x2.splat(1.0 / 362880);
  sum = horner(sum, r, 1.0 / 40320);
  sum = horner(sum, r, 1.0 / 5040);
  sum = horner(sum, r, 1.0 / 720);
  sum = horner(sum, r, 1.0 / 120);
  sum = horner(sum, r, 1.0 / 24);
  sum = horner(sum, r, 1.0 / 6);
  sum = horner(sum, r, 0.5);
  sum = horner(sum, r, 1);
  return f64x2.mul(sum, r);
}

/** e to the power of x, within 1e-11 of it; infinite above 709. */
export function exp(x: v128): v128 {
  const n = halvings(x);
  const scale = powerOf2(n);
  const small = smallExpm1(f64x2.sub(x, f64x2.mul(n, f64x2.splat(LN_2))));
  const value = f64x2.add(scale, f64x2.mul(scale, small));
  const infinite = f64x2.gt(x, f64x2.splat(709));
  // A NaN is neither above nor below and comes through.
  const limited = select(infinite, f64x2.splat(Infinity), value);
  return v128.andnot(limited, f64x2.lt(x, f64x2.splat(LOWEST)));
}

/** exp(x) - 1 for x <= 0, within 1e-11 of it. */
export function expm1(x: v128): v128 {
  const n = halvings(x);
  const scale = powerOf2(n);
  const small = smallExpm1(f64x2.sub(f64x2.max(x, f64x2.splat(LOWEST)), f64x2.mul(n, f64x2.splat(LN_2))));
  return f64x2.add(f64x2.mul(scale, small), f64x2.sub(scale, f64x2.splat(1)));
}

/** The bits of sqrt(1/2). */
const SQRT_HALF: i64 = 0x3fe6a09e667f3bcd;

/**
 * The natural logarithm of what was a float, within 1e-12 of it: x = 2^n m with sqrt(1/2) <= m < sqrt(2), and
 * ln m = 2 artanh(s) with s = (m - 1) / (m + 1), by its series to s^15.
 */
export function log(x: v128): v128 {
  const exponent = i64x2.shr_s(i64x2.sub(x, i64x2.splat(SQRT_HALF)), 52);
  const n = f64x2.sub(i64x2.add(exponent, f64x2.splat(SHIFT)), f64x2.splat(SHIFT));
  const m = i64x2.sub(x, i64x2.shl(exponent, 52));
  const s = f64x2.div(f64x2.sub(m, f64x2.splat(1)), f64x2.add(m, f64x2.splat(1)));
  const s2 = f64x2.mul(s, s);
  let sum = f64x2.splat(2.0 / 15);
  sum = horner(sum, s2, 2.0 / 13);
  sum = horner(sum, s2, 2.0 / 11);
  sum = horner(sum, s2, 2.0 / 9);
  sum = horner(sum, s2, 2.0 / 7);
  sum = horner(sum, s2, 2.0 / 5);
  sum = horner(sum, s2, 2.0 / 3);
  sum = horner(sum, s2, 2);
  const value = f64x2.add(f64x2.mul(n, f64x2.splat(LN_2)), f64x2.mul(sum, s));
  const zero = f64x2.splat(0);
  const isFinite = v128.and(f64x2.gt(x, zero), f64x2.lt(x, f64x2.splat(Infinity)));
  // The root of anything else but 0 is what its logarithm is: infinite or NaN.
  const special = select(f64x2.eq(x, zero), f64x2.splat(-Infinity), f64x2.sqrt(x));
  return select(isFinite, value, special);
}

/**
 * The standard normal distribution function Phi. With a = |x|, Phi(-a) = exp(-a^2 / 2) P(u) / (1 + a), where P interpolates
 * at the 15 Chebyshev nodes of u = (a - 4) / (a + 4), which takes all a >= 0 to -1 <= u < 1; its relative error is 1e-10.
 */
export function normalDistribution(x: v128): v128 {
  // Phi(-40) is 0 in double precision; an infinite `a` would make u a NaN.
  const a = f64x2.min(f64x2.abs(x), f64x2.splat(40));
  const u = f64x2.div(f64x2.sub(a, f64x2.splat(4)), f64x2.add(a, f64x2.splat(4)));
  let p = f64x2.splat(-1.2524057765557e-6);
  p = horner(p, u, -2.08235365750889e-6);
  p = horner(p, u, 1.1884808013970442e-5);
  p = horner(p, u, 1.933619563250839e-5);
  p = horner(p, u, -8.662261017855642e-5);
  p = horner(p, u, -9.301357874955398e-5);
  p = horner(p, u, 6.944154243496436e-4);
  p = horner(p, u, -2.8619175855424566e-4);
  p = horner(p, u, -5.00228000755886e-3);
  p = horner(p, u, 1.7936215518832673e-2);
  p = horner(p, u, -3.219784642492614e-2);
  p = horner(p, u, 2.860035319640413e-2);
  p = horner(p, u, 1.3999634963992e-2);
  p = horner(p, u, -9.67034770365018e-2);
  p = horner(p, u, 4.720532065098447e-1);
  const density = exp(f64x2.mul(f64x2.mul(a, a), f64x2.splat(-0.5)));
  const tail = f64x2.div(f64x2.mul(density, p), f64x2.add(a, f64x2.splat(1)));
  return select(f64x2.gt(x, f64x2.splat(0)), f64x2.sub(f64x2.splat(1), tail), tail);
}

/**
 * The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, to double precision:
 * its Maclaurin series near 0, the continued fraction of erfc further out (Abramowitz and Stegun 7.1.6 and 7.1.14).
 */
export function erf(x: number): number {
  const t = Math.abs(x);
  if (t > 6) return Math.sign(x);
  if (t < 2.5) {
    // 2/sqrt(pi) exp(-x^2) sum over n of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1)): all terms of one sign.
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = t;
  for (let n = 60; n > 0; n--) fraction = t + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-t * t) / Math.sqrt(Math.PI) / fraction);
}

/**
 * The same in float32. Below 1 the Maclaurin series in x^2 to x^17; above, Abramowitz and Stegun 7.1.26, whose absolute
 * error of 1.5e-7 is then a relative one.
 */
export const ERF_WGSL = `fn erf(x: f32) -> f32 {
  let t = abs(x);
  let s = x * x;
  let series = 1.1283792 * x * (1.0 + s * (-0.33333334 + s * (0.1 + s * (-0.023809524 + s * (0.0046296297 +
    s * (-0.00075757575 + s * (0.00010683761 + s * (-0.000013227513 + s * 0.0000014589169))))))));
  let r = 1.0 / (1.0 + 0.3275911 * t);
  let tail = r * (0.25482959 + r * (-0.28449674 + r * (1.4214138 + r * (-1.4531521 + r * 1.0614054)))) * exp(-s);
  return select(sign(x) * (1.0 - tail), series, t < 1.0);
}`;

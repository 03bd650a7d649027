import { ERF_WGSL, erf } from './erf.ts';

/**
 * An elementwise function: declared once, it gives the kernel of both devices.
 * In WGSL its arguments are called `a`, `b`, `c` and its parameter `p`.
 */
export interface PointwiseFunction {
  readonly arity: 1 | 2 | 3;
  readonly wgsl: string;
  readonly host: (a: number, b: number, c: number, p: number) => number;
  /** WGSL functions that the expression calls. */
  readonly helpers?: string;
}

const SQRT_HALF = Math.SQRT1_2;
const INVERSE_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI);

const sigmoid = (a: number) => 1 / (1 + Math.exp(-a));
/** The standard normal distribution function. */
const phi = (a: number) => 0.5 * (1 + erf(a * SQRT_HALF));

export const pointwiseFunctions = {
  add: { arity: 2, wgsl: 'a + b', host: (a, b) => a + b },
  sub: { arity: 2, wgsl: 'a - b', host: (a, b) => a - b },
  mul: { arity: 2, wgsl: 'a * b', host: (a, b) => a * b },
  div: { arity: 2, wgsl: 'a / b', host: (a, b) => a / b },
  /** 1 where a equals b, else 0. */
  equal: { arity: 2, wgsl: 'select(0.0, 1.0, a == b)', host: (a, b) => (a === b ? 1 : 0) },
  /** b where a is not 0, else c. */
  where: { arity: 3, wgsl: 'select(c, b, a != 0.0)', host: (a, b, c) => (a !== 0 ? b : c) },
  /** Batch norm in inference: scale and shift (a x + b with a, b for each channel), and the same under a ReLU. */
  multiplyAdd: { arity: 3, wgsl: 'fma(a, b, c)', host: (a, b, c) => a * b + c },
  multiplyAddRelu: {
    arity: 3,
    wgsl: 'select(fma(a, b, c), 0.0, fma(a, b, c) < 0.0)',
    host: (a, b, c) => Math.max(a * b + c, 0),
  },
  /** Sums of these are what batch norm needs of its input, and of a cotangent a, in training. */
  squaredDifference: { arity: 2, wgsl: '(a - b) * (a - b)', host: (a, b) => (a - b) * (a - b) },
  timesDifference: { arity: 3, wgsl: 'a * (b - c)', host: (a, b, c) => a * (b - c) },

  neg: { arity: 1, wgsl: '-a', host: (a) => -a },
  abs: { arity: 1, wgsl: 'abs(a)', host: (a) => Math.abs(a) },
  exp: { arity: 1, wgsl: 'exp(a)', host: (a) => Math.exp(a) },
  log: { arity: 1, wgsl: 'log(a)', host: (a) => Math.log(a) },
  sqrt: { arity: 1, wgsl: 'sqrt(a)', host: (a) => Math.sqrt(a) },
  rsqrt: { arity: 1, wgsl: 'inverseSqrt(a)', host: (a) => 1 / Math.sqrt(a) },
  /** Not `max` on the GPU, which would swallow a NaN. */
  relu: { arity: 1, wgsl: 'select(a, 0.0, a < 0.0)', host: (a) => Math.max(a, 0) },
  /** 1 above 0, else 0: the derivative of the ReLU, at 0 as PyTorch has it. */
  step: { arity: 1, wgsl: 'select(0.0, 1.0, a > 0.0)', host: (a) => (a > 0 ? 1 : 0) },
  /** The gradient of the ReLU: the cotangent a, where b, its input or its result, is above 0. A NaN in b lets it pass. */
  reluGradient: { arity: 2, wgsl: 'select(a, 0.0, b <= 0.0)', host: (a, b) => (b <= 0 ? 0 : a) },
  sign: { arity: 1, wgsl: 'sign(a)', host: (a) => Math.sign(a) },
  /** x above 0, p (exp x - 1) below. */
  elu: {
    arity: 1,
    wgsl: 'select(p * expm1(a), a, a > 0.0)',
    helpers: `// exp(x) - 1 without cancellation near 0: three terms of its series there.
fn expm1(x: f32) -> f32 {
  return select(exp(x) - 1.0, x * (1.0 + x * (0.5 + x * (0.16666667 + x * 0.041666667))), abs(x) < 0.05);
}`,
    host: (a, _b, _c, p) => (a > 0 ? a : p * Math.expm1(a)),
  },
  eluDerivative: {
    arity: 1,
    wgsl: 'select(p * exp(a), 1.0, a > 0.0)',
    host: (a, _b, _c, p) => (a > 0 ? 1 : p * Math.exp(a)),
  },
  /** x Phi(x), with the exact distribution function rather than the tanh approximation. */
  gelu: { arity: 1, wgsl: '0.5 * a * (1.0 + erf(a * 0.70710678))', helpers: ERF_WGSL, host: (a) => a * phi(a) },
  geluDerivative: {
    arity: 1,
    wgsl: '0.5 * (1.0 + erf(a * 0.70710678)) + a * 0.39894228 * exp(-0.5 * a * a)',
    helpers: ERF_WGSL,
    host: (a) => phi(a) + a * INVERSE_SQRT_2PI * Math.exp(-0.5 * a * a),
  },
  sigmoid: { arity: 1, wgsl: '1.0 / (1.0 + exp(-a))', host: sigmoid },
} as const satisfies Record<string, PointwiseFunction>;

export type PointwiseName = keyof typeof pointwiseFunctions;

export const pointwiseNames = Object.keys(pointwiseFunctions) as readonly PointwiseName[];

import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { exp, mul, sub } from '../pointwise/index.ts';
import { sum } from '../reduce/index.ts';
import type { SoftmaxAttributes } from './index.ts';

/** With the cotangent g: y (g - sum(g y)) for the softmax, g - exp(y) sum(g) for its logarithm. */
export const softmaxGradient: GradientRule<SoftmaxAttributes> = (call) => {
  const { axis, log } = call.attributes;
  const [y] = call.outputs;
  if (!y) return [];
  const g = onlyCotangent(call);
  const axes = [axis + 1];
  return [() => (log ? sub(g, mul(exp(y), sum(g, axes, true))) : mul(y, sub(g, sum(mul(g, y), axes, true))))];
};

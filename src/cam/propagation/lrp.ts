import type { BackwardRules } from '../../autograd/tape.ts';
import { UsageError } from '../../errors.ts';
import { type GradientRule, onlyCotangent } from '../../kernels/gradient.ts';
import { gradientRules } from '../../kernels/gradients.ts';
import { abs, add, deviceOf, div, mul, scalar } from '../../kernels/index.ts';
import { at } from '../../tensor/shape.ts';
import type { Method } from '../method.ts';
import { backToInput, inOnePass, sumOfColours } from './backward.ts';
import { isBatchNorm, zPlusRules } from './z-plus.ts';

export const LRP_RULES = ['epsilon', 'z+'] as const;
/** How a layer shares out the relevance of an output among its inputs. */
export type LrpRule = (typeof LRP_RULES)[number];

export interface LrpOptions {
  /** `epsilon` when left out. */
  readonly rule?: LrpRule;
  /** What the epsilon rule adds to the magnitude of each pre-activation, in its units; 1e-6 when left out. */
  readonly epsilon?: number;
}

/**
 * Layer-wise relevance propagation (Bach et al. 2015, doi:10.1371/journal.pone.0130140): the logit is handed back from
 * layer to layer, each output z[j] = sum over i of z[i,j] + b[j] giving its relevance R[j] to its inputs in proportion to
 * their contributions z[i,j] = x[i] w[i,j].
 *
 * - `epsilon` (their equation 58): R[i] = sum over j of z[i,j] / (z[j] + epsilon sign z[j]) R[j]. The bias keeps its share,
 *   and epsilon takes from what is weak: without biases, and with a small epsilon, the map adds up to the logit. With a
 *   small epsilon it is input x gradient (Ancona et al. 2018, arXiv:1711.06104); a larger one makes the difference.
 * - `z+` (Montavon et al. 2017, arXiv:1512.02479): only positive contributions count, R[i] = sum over j of
 *   max(z[i,j], 0) / (sum over i of max(z[i,j], 0)) R[j]. No bias gets anything, so the map adds up to the logit with biases
 *   too, except for outputs to which nothing contributes positively. It is Bach's equation 60 with alpha = 1 and beta = 0,
 *   where Bach and some libraries let the positive bias take its share.
 *
 * Implementations differ most in what they call a layer. Here it is what the network runs: a batch norm behind a
 * convolution is folded into its weights, and its shift is a bias; the sum of a residual block belongs to the convolution
 * that ends the block, where the shortcut is one more input, of weight 1. A batch norm that stands alone (DenseNet, ResNet
 * V2) has one input for each output; the z+ rule gives that input all, and the epsilon rule its share. The bias of the last
 * layer is added by a layer of its own. A ReLU and a concatenation hand relevance on, maximum pooling gives it to the
 * maximum, and sums and averages share it in proportion. The image, whose values have either sign, is like any layer.
 * @returns [N,K,H,W], signed: the sum over the colours
 * @throws UsageError for an unknown rule, or an epsilon that is not positive
 */
export function lrp({ rule = 'epsilon', epsilon = 1e-6 }: LrpOptions = {}): Method {
  if (!LRP_RULES.includes(rule)) throw new UsageError(`rule "${rule}" is unknown; use ${LRP_RULES.join(' or ')}`);
  if (!(epsilon > 0 && epsilon < Number.POSITIVE_INFINITY))
    throw new UsageError(`epsilon ${epsilon} is out of range; use a small number above 0, such as 1e-6`);
  if (rule === 'z+')
    return inOnePass((call, input) => sumOfColours(backToInput(call, input, { rules: zPlusRules, start: mul })));
  const rules = epsilonRules(epsilon);
  return inOnePass((call, input) => sumOfColours(mul(backToInput(call, input, { rules }), input)));
}

/**
 * The epsilon rule for R[j] = z[j] c[j]: the factors z[i,j] = x[i] w[i,j] leave the sum, and what remains is the gradient,
 *   c[i] = sum over j of w[i,j] c'[j],  c'[j] = z[j] / (z[j] + epsilon sign z[j]) c[j] = |z[j]| / (|z[j]| + epsilon) c[j].
 * Nothing is divided by a sum that may be 0. The output of a ReLU serves as its z: where they differ both are without
 * relevance.
 */
function epsilonRules(epsilon: number): BackwardRules {
  const damped =
    <Attributes>(rule: GradientRule<Attributes>): GradientRule<Attributes> =>
    (call) => {
      const z = at(call.outputs, 0);
      const magnitude = abs(z);
      const kept = div(magnitude, add(magnitude, scalar(deviceOf(z), epsilon, z.scope)));
      return rule({ ...call, cotangents: [mul(onlyCotangent(call), kept)] });
    };
  const pointwise = damped(gradientRules.pointwise);
  return {
    ...gradientRules,
    conv2d: damped(gradientRules.conv2d),
    matmul: damped(gradientRules.matmul),
    pointwise: (call) => (isBatchNorm(call.attributes.fn) ? pointwise : gradientRules.pointwise)(call),
  };
}

import type { BackwardRules } from '../../autograd/tape.ts';
import { type GradientCall, onlyCotangent } from '../../kernels/gradient.ts';
import { gradientRules } from '../../kernels/gradients.ts';
import { relu } from '../../kernels/index.ts';
import type { Method } from '../method.ts';
import { backToInput, inOnePass, sumOfColours } from './backward.ts';

/** Where an op has a ReLU, wherever in the op it is, what is negative does not go back through it. */
const guidedRules: BackwardRules = {
  ...gradientRules,
  conv2d: (call) => gradientRules.conv2d(call.attributes.activation === 'relu' ? withoutNegative(call) : call),
  pointwise: (call) => gradientRules.pointwise(isRelu(call.attributes.fn) ? withoutNegative(call) : call),
};

const isRelu = (fn: string) => fn === 'relu' || fn === 'multiplyAddRelu';

function withoutNegative<Attributes>(call: GradientCall<Attributes>): GradientCall<Attributes> {
  return { ...call, cotangents: [relu(onlyCotangent(call))] };
}

/**
 * Guided backpropagation (Springenberg et al. 2015, arXiv:1412.6806, figure 1): the gradient, except that a ReLU lets
 * back only what is positive, R[l] = 1(f[l] > 0) 1(R[l+1] > 0) R[l+1]. The colours are added up.
 *
 * Implementations swap the ReLU modules of a network, and so miss a ReLU that is a function call: the last one of a
 * DenseNet, all of a CIFAR ResNet. Here the rule belongs to the op, and no ReLU escapes it. The maps show edges rather
 * than evidence: they hardly depend on the class or on the weights (Adebayo et al. 2018, arXiv:1810.03292).
 * @returns [N,K,H,W], signed: the first convolution is behind the last ReLU on the way
 */
export const guidedBackprop: Method = inOnePass((call, input) =>
  sumOfColours(backToInput(call, input, { rules: guidedRules })),
);

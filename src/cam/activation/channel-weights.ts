import { UsageError } from '../../errors.ts';
import { deviceOf, div, equal, mul, multiplyAdd, relu, reshape, scalar, sum, where } from '../../kernels/index.ts';
import { tidy } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { channelImportance } from '../algorithm.ts';

/** What a pass left at the target layer. */
export interface AtLayer {
  /** [N,C,I,J] */
  readonly activations: Tensor;
  /** d y[k] / d a[c,i,j], [N,K,C,I,J] */
  readonly gradients: Tensor;
}

/**
 * How much each channel counts for each class: [N,K,C], or [N,K,C,I,J] where it depends on the pixel. The map is the sum
 * over channels of weight times activation.
 */
export type ChannelWeights = (at: AtLayer) => Tensor;

/**
 * Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391, equation 1): the mean of the gradient over the pixels.
 *
 * Implementations differ in the score: here it is the logit; that of the probability mixes in the other classes.
 */
export const gradCamWeights: ChannelWeights = ({ gradients }) => channelImportance(gradients);

/**
 * Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063, equations 10 and 19):
 * w[k,c] = sum over i,j of g^2 / (2 g^2 + A g^3) ReLU(g), with g = d y[k] / d a[c,i,j] and A = sum over all pixels of a[c].
 *
 * Equation 19 takes the exponential of the logit for the score, and turns into this for the logit's own gradients. It is
 * made for activations behind a ReLU: elsewhere A may be negative, and the denominator near zero.
 *
 * Implementations differ in how they avoid 0/0. g^2 is divided out here, which leaves ReLU(g) / (2 + A g).
 * pytorch-grad-cam adds 1e-6 to the denominator instead. Squared gradients are of that size (9 % of the map of a CIFAR
 * network), or far smaller, and then the weights become sums of g^3: pass `epsilon` 1e-6 to get them.
 * @throws UsageError for a negative epsilon
 */
export function gradCamPlusPlusWeights(epsilon = 0): ChannelWeights {
  if (!(epsilon >= 0 && epsilon < Number.POSITIVE_INFINITY))
    throw new UsageError(`epsilon ${epsilon} is out of range; use 0, or a small number above it`);
  return ({ activations, gradients }) =>
    tidy([activations, gradients], (a, g) => {
      const constant = (value: number) => scalar(deviceOf(a), value, g.scope);
      const denominator = multiplyAdd(g, perClass(sum(a, [-2, -1], true)), constant(2));
      if (epsilon === 0) return sum(div(relu(g), denominator), [-2, -1]);
      const squares = mul(g, g);
      return sum(div(mul(squares, relu(g)), multiplyAdd(squares, denominator, constant(epsilon))), [-2, -1]);
    });
}

/**
 * XGrad-CAM (Fu et al. 2020, arXiv:2008.02312, equation 8): w[k,c] = sum over i,j of a[c,i,j] / A[c] d y[k] / d a[c,i,j],
 * with A = sum over all pixels of a[c].
 *
 * A channel that sums to zero counts as nothing; pytorch-grad-cam adds 1e-7 to A, which only a channel that is as good as
 * silent notices.
 */
export const xGradCamWeights: ChannelWeights = ({ activations, gradients }) =>
  tidy([activations, gradients], (a, g) => {
    const total = sum(a, [-2, -1], true);
    const zero = scalar(deviceOf(a), 0, a.scope);
    const share = where(equal(total, zero), zero, div(a, total));
    return sum(mul(perClass(share), g), [-2, -1]);
  });

/**
 * HiResCAM (Draelos and Carin 2020, arXiv:2011.08891, equation 4): the gradient itself, pixel by pixel. With global average
 * pooling and a linear layer behind the target it is Grad-CAM.
 */
export const hiResCamWeights: ChannelWeights = ({ gradients }) => gradients.alias();

/** LayerCAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943, equations 5 and 6): the positive part of the gradient. */
export const layerCamWeights: ChannelWeights = ({ gradients }) => relu(gradients);

/** [N,C,...] as [N,1,C,...], to meet what has an axis of classes. */
function perClass(x: Tensor): Tensor {
  const [N = 1, ...rest] = x.shape;
  return reshape(x, [N, 1, ...rest]);
}

import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { scalar } from '../create.ts';
import { deviceOf } from '../device.ts';
import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { add, mul, multiplyAdd, neg, rsqrt, timesDifference } from '../pointwise/index.ts';
import { sum } from '../reduce/index.ts';
import { reshape } from '../view/index.ts';
import { axesOfChannel, type BatchNormTrainingAttributes, perChannel } from './index.ts';

/**
 * With the cotangent g and x' = (x - mean) / sqrt(variance + eps), over the M values of each channel: dbias = sum(g),
 * dweight = sum(g x'), and dx = weight / sqrt(variance + eps) (g - dbias / M - x' dweight / M).
 */
export const batchNormTrainingGradient: GradientRule<BatchNormTrainingAttributes> = (call) => {
  const [x, weight] = call.inputs;
  const [, mean, variance] = call.outputs;
  if (!x || !weight || !mean || !variance) return [];
  const g = onlyCotangent(call);
  const number = (value: number) => scalar(deviceOf(g), value, g.scope);
  const axes = axesOfChannel(x).map((axis) => axis + 1);
  const inverse = () => rsqrt(add(variance, number(call.attributes.eps)));

  // Both are needed for dx as well; they are computed when they are first asked for.
  let biasGradient: Tensor | undefined;
  const dbias = () => {
    biasGradient ??= sum(g, axes);
    return biasGradient;
  };
  let weightGradient: Tensor | undefined;
  const dweight = () => {
    weightGradient ??= mul(sum(timesDifference(g, x, perChannel(mean, x)), axes), inverse());
    return weightGradient;
  };

  // dx = scale g + slope x + shift, with the last two for each score and channel: [K, 1, C, 1, ...].
  const dx = () => {
    const scale = mul(weight, inverse());
    const share = mul(scale, number(at(x.shape, 1) / x.size));
    const slope = neg(mul(mul(share, inverse()), dweight()));
    const shift = neg(multiplyAdd(slope, mean, mul(share, dbias())));
    return multiplyAdd(g, perChannel(scale, x), multiplyAdd(x, spread(slope, x), spread(shift, x)));
  };
  return [dx, dweight, dbias];
};

/** [K, C] as [K, 1, C, 1, ...]. */
function spread(values: Tensor, x: Tensor): Tensor {
  const [k = 1, channels = 1] = values.shape;
  return reshape(values, [k, 1, channels, ...x.shape.slice(2).map(() => 1)]);
}

import { UsageError } from '../../errors.ts';
import { tidy } from '../../tensor/scope.ts';
import { at, formatShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { full, scalar } from '../create.ts';
import { deviceOf } from '../device.ts';
import { applyComposite, type CompositeDefinition } from '../op.ts';
import { add, mul, multiplyAdd, neg, rsqrt, squaredDifference, sub } from '../pointwise/index.ts';
import { mean } from '../reduce/index.ts';
import { reshape } from '../view/index.ts';

export interface BatchNormOptions {
  /** [C] */
  readonly mean: Tensor;
  /** [C] */
  readonly variance: Tensor;
  /** [C]; 1 when left out. */
  readonly weight?: Tensor | undefined;
  /** [C]; 0 when left out. */
  readonly bias?: Tensor | undefined;
  readonly eps?: number;
}

/**
 * Batch normalisation in inference (Ioffe and Szegedy 2015, algorithm 2): weight (x - mean) / sqrt(variance + eps) + bias,
 * computed as x scale + shift, so that the large tensor is read and written once.
 *
 * @param x [N, C, ...]
 */
export function batchNorm(x: Tensor, { mean, variance, weight, bias, eps = 1e-5 }: BatchNormOptions): Tensor {
  const optional = [weight, bias].filter((tensor) => tensor !== undefined);
  return tidy([x, mean, variance, ...optional], (x, mean, variance, ...rest) => {
    const gamma = weight && rest.shift();
    const beta = bias && rest.shift();
    const inverse = rsqrt(add(variance, scalar(deviceOf(x), eps, x.scope)));
    const scale = gamma ? mul(gamma, inverse) : inverse;
    const shift = beta ? sub(beta, mul(mean, scale)) : neg(mul(mean, scale));
    return multiplyAdd(x, perChannel(scale, x), perChannel(shift, x));
  });
}

/** [..., C] as [..., C, 1, ...], so that it broadcasts over x [N, C, ...]. */
export function perChannel(values: Tensor, x: Tensor): Tensor {
  return reshape(values, [...values.shape, ...x.shape.slice(2).map(() => 1)]);
}

/** The axes of x [N, C, ...] without that of the channels. */
export function axesOfChannel(x: Tensor): number[] {
  return x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
}

export interface BatchNormTrainingAttributes {
  readonly eps: number;
}

/** Of x, weight and bias: y, and the mean and the variance of each channel of the batch. */
export const batchNormTrainingDefinition: CompositeDefinition<BatchNormTrainingAttributes> = {
  name: 'batchNormTraining',
  compute([x, weight, bias], { eps }) {
    if (!x) return [];
    const batchMean = mean(x, axesOfChannel(x));
    // Of the differences, since the mean of the squares would cancel with the square of the mean.
    const variance = mean(squaredDifference(x, perChannel(batchMean, x)), axesOfChannel(x));
    return [batchNorm(x, { mean: batchMean, variance, weight, bias, eps }), batchMean, variance];
  },
};

export interface BatchNormTrainingOptions extends BatchNormOptions {
  /** The share of this batch in the new running statistics; 0.1 when left out. */
  readonly momentum?: number;
}

export interface TrainedBatchNorm {
  readonly y: Tensor;
  /** [C]: the new running mean and variance. No gradient flows through them. */
  readonly mean: Tensor;
  readonly variance: Tensor;
}

/**
 * Batch normalisation in training (Ioffe and Szegedy 2015, algorithm 1), as torch.nn.functional.batch_norm with
 * `training=True`: each channel is normalised by its own mean and variance over the batch.
 *
 * @param x [N, C, ...]
 * @param options `mean` and `variance` are the running statistics before this batch. The new ones are (1 - momentum) of
 * them and momentum of the batch's; there the variance is the unbiased one, with the divisor M - 1 for M values.
 * @throws UsageError when a channel has one value only
 */
export function batchNormTraining(x: Tensor, options: BatchNormTrainingOptions): TrainedBatchNorm {
  const { mean: runningMean, variance: runningVariance, eps = 1e-5, momentum = 0.1 } = options;
  const values = x.size / at(x.shape, 1);
  if (values < 2) {
    throw new UsageError(
      `batchNormTraining: shape ${formatShape(x.shape)} has ${values} value for each channel, and no variance; use a larger batch`,
    );
  }
  const channels = runningMean.shape;
  const [y, mean, variance] = tidy([x], (x) => {
    const { weight = full(deviceOf(x), channels, 1, x.scope), bias = full(deviceOf(x), channels, 0, x.scope) } =
      options;
    const [y, batchMean, batchVariance] = applyComposite(batchNormTrainingDefinition, [x, weight, bias], { eps });
    if (!y || !batchMean || !batchVariance) throw new RangeError('batchNormTraining has three outputs');
    const mix = (running: Tensor, batch: Tensor, share: number) => {
      const number = (value: number) => scalar(deviceOf(x), value, x.scope);
      const detached = batch.alias({ recorder: undefined });
      return add(mul(running, number(1 - momentum)), mul(detached, number(share)));
    };
    const unbiased = values / (values - 1);
    return [y, mix(runningMean, batchMean, momentum), mix(runningVariance, batchVariance, momentum * unbiased)];
  });
  if (!y || !mean || !variance) throw new RangeError('batchNormTraining has three results');
  return { y, mean, variance };
}

import { tidy } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { scalar } from '../create.ts';
import { deviceOf } from '../device.ts';
import { add, mul, multiplyAdd, neg, rsqrt, sub } from '../pointwise/index.ts';
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
    const perChannel = [at(x.shape, 1), ...x.shape.slice(2).map(() => 1)];
    return multiplyAdd(x, reshape(scale, perChannel), reshape(shift, perChannel));
  });
}

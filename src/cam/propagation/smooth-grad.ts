import { UsageError } from '../../errors.ts';
import { add, deviceOf, max, mul, multiplyAdd, neg, scalar, tensor } from '../../kernels/index.ts';
import { gaussian } from '../../random.ts';
import { sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Method } from '../method.ts';
import { requireCount } from '../options.ts';
import { inScopeOfInput } from '../passes.ts';
import { strongestColour } from './backward.ts';
import { meanGradient } from './mean-gradient.ts';

export interface SmoothGradOptions {
  /** Noisy copies of each image; 50 when left out, beyond which the paper sees little difference. */
  readonly samples?: number;
  /** Standard deviation of the noise, as a fraction of the range of the image's values; 0.15 when left out. */
  readonly noise?: number;
  /** Of the noise. */
  readonly seed?: number;
  /** Noisy copies in one pass of the network: more take more memory. */
  readonly batch?: number;
}

/**
 * SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825): the mean of the gradients of noisy copies of the image,
 * M[k] = 1/n sum over n copies of d y[k] / d x at x + N(0, sigma^2). The noise is 10 to 20 % of max(x) - min(x) in the
 * paper.
 *
 * Implementations differ in what they average: as in the paper's equation it is the signed gradient, and the map is then
 * the largest magnitude among the colours, as that of `gradient`, which this is without noise. The mean of squares
 * ('SmoothGrad squared') is another method. All images of a batch get the same noise, so that a batch is single runs.
 * @returns [N,K,H,W], not negative
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function smoothGrad(options: SmoothGradOptions = {}): Method {
  const { samples = 50, noise = 0.15, seed = 1, batch = 4 } = options;
  requireCount('samples', samples);
  requireCount('batch', batch);
  if (!(noise >= 0 && noise < Number.POSITIVE_INFINITY))
    throw new UsageError(`noise ${noise} is out of range; use a fraction of the image's range, such as 0.15`);

  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const { input } = call;
      const random = gaussian(seed);
      const sigma = mul(rangeOf(input), scalar(deviceOf(input), noise, scope));
      const make = (start: number, end: number) => {
        const shape = [end - start, 1, ...input.shape.slice(1)];
        const values = Float32Array.from({ length: sizeOf(shape) }, random);
        const normal = tensor(deviceOf(input), values, shape, { scope });
        const copies = multiplyAdd(normal, sigma, input);
        normal.dispose();
        return copies;
      };
      return strongestColour(await meanGradient(call, { count: samples, batch, make }));
    });
}

/** max(x) - min(x) of each image of [N,3,H,W], as [N,1,1,1]. */
function rangeOf(x: Tensor): Tensor {
  const axes = [1, 2, 3];
  return add(max(x, axes, true), max(neg(x), axes, true));
}

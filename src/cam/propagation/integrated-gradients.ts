import { deviceOf, mul, multiplyAdd, scalar, sub, tensor } from '../../kernels/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Method } from '../method.ts';
import { requireCount } from '../options.ts';
import { inScopeOfInput } from '../passes.ts';
import { sumOfColours } from './backward.ts';
import { meanGradient } from './mean-gradient.ts';

export interface IntegratedGradientsOptions {
  /**
   * The image of which nothing is to be explained, on the device of the input and broadcast against [N,3,H,W]. Zero when
   * left out: in a prepared image that is the mean colour of the training images. Black is -mean / std, [3,1,1].
   */
  readonly baseline?: Tensor;
  /** Points on the way from the baseline to the image; 50 when left out. The paper takes 20 to 300. */
  readonly steps?: number;
  /** Points in one pass of the network: more take more memory. */
  readonly batch?: number;
}

/**
 * Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365, equation 1): the share of each pixel in the
 * difference between the logits of the image x and of a baseline x',
 * M[k] = sum over colours of (x - x') * integral over a from 0 to 1 of d y[k] / d x at x' + a (x - x').
 *
 * The shares add up to y[k](x) - y[k](x') as far as the integral is exact (completeness, proposition 1). It is
 * approximated by the midpoint rule. Implementations differ in that: the paper's equation 3 takes right end points, and
 * Captum a Gauss-Legendre rule, which gains nothing here: the gradient of a network of ReLUs jumps along the way.
 * They differ in the baseline too: the paper's is black, the default here is the mean colour, as in most libraries.
 * @returns [N,K,H,W], signed
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function integratedGradients(options: IntegratedGradientsOptions = {}): Method {
  const { steps = 50, batch = 4 } = options;
  requireCount('steps', steps);
  requireCount('batch', batch);

  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const device = deviceOf(call.input);
      const baseline = options.baseline ? scope.enter(options.baseline) : scalar(device, 0, scope);
      const difference = sub(call.input, baseline);
      const make = (start: number, end: number) => {
        const midpoints = Array.from({ length: end - start }, (_, i) => (start + i + 0.5) / steps);
        const along = tensor(device, midpoints, [midpoints.length, 1, 1, 1, 1], { scope });
        const images = multiplyAdd(along, difference, baseline);
        along.dispose();
        return images;
      };
      return sumOfColours(mul(await meanGradient(call, { count: steps, batch, make }), difference));
    });
}

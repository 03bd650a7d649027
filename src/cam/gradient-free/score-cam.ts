import {
  deviceOf,
  div,
  max,
  mul,
  neg,
  reshape,
  resize,
  scalar,
  slice,
  softmax,
  sub,
  where,
} from '../../kernels/index.ts';
import { tidy } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { atLayer, type CombineOptions, combine } from '../activation/at-layer.ts';
import type { Method } from '../method.ts';
import { requireCount } from '../options.ts';
import { batchOfImages, imageOf, scoresOfVariants } from '../passes.ts';

export interface ScoreCamOptions extends CombineOptions {
  /** Masked images in one pass of the network; as many as there is room for when left out. */
  readonly batch?: number;
}

/**
 * Score-CAM (Wang et al. 2020, arXiv:1910.01279, definition 3 and algorithm 1): each channel, brought to the size of the
 * image and to [0,1], masks the image, and counts by the score of what is left. The map is the sum over c of w[k,c] a[c],
 * w[k,c] = softmax over channels c of y[k](x H[c]), H[c] = s(Up(a[c])), s(m) = (m - min m) / (max m - min m).
 *
 * The score is the logit. The paper subtracts that of a baseline image, which is the same for all channels and falls out of
 * the softmax. Implementations differ: some take the probability, or a softmax over classes, and some no softmax at all.
 * The corners of the mask are those of the image, as in pytorch-grad-cam; the authors' code has half-pixel centres. The
 * mask of a channel without contrast is 0.
 * @returns [N,K,I,J]; weights are positive, so that only negative activations are
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function scoreCam(options: ScoreCamOptions = {}): Method {
  const { batch } = options;
  if (batch !== undefined) requireCount('batch', batch);
  return (call) =>
    atLayer(call, async ({ activations }, call) => {
      const { model, input } = call;
      const variants = { count: at(activations.shape, 1), batch: batch ?? batchOfImages(call) };
      const scores = await scoresOfVariants(call, variants, (n, start, end) =>
        tidy([input, activations], (input, activations) => {
          const masks = masksOf(imageOf(activations, n), start, end, input.shape);
          return model.forward(mul(imageOf(input, n), masks));
        }),
      );
      return combine(softmax(scores, 2), activations, options);
    });
}

/** The masks of the channels with start <= number < end of one image: [1,C,I,J] to [end - start,1,H,W]. */
function masksOf(activations: Tensor, start: number, end: number, [, , H = 1, W = 1]: readonly number[]): Tensor {
  const [, , I = 1, J = 1] = activations.shape;
  const channels = slice(activations, [0, start, 0, 0], [1, end, I, J]);
  const large = resize(channels, { size: [H, W], mode: 'bilinear', alignCorners: true });
  const least = neg(max(neg(large), [2, 3], true));
  const range = sub(max(large, [2, 3], true), least);
  const zero = scalar(deviceOf(activations), 0, activations.scope);
  return reshape(where(range, div(sub(large, least), range), zero), [end - start, 1, H, W]);
}

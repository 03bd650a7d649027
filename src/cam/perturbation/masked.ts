import { UsageError } from '../../errors.ts';
import { add, concat, deviceOf, matmul, reshape, softmax, tensor } from '../../kernels/index.ts';
import { tidy } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { MethodCall } from '../method.ts';
import { batchOfImages, imageOf, inBatches, scoresOf } from '../passes.ts';

export const SCORES = ['logit', 'probability'] as const;
/** What the network is asked about a changed image. */
export type Score = (typeof SCORES)[number];

/** Versions of each image, the same for all images. */
export interface MaskedRuns {
  /** How many masks there are. */
  readonly count: number;
  /** How many of them go through the network at once; as many as there is room for when left out. */
  readonly batch?: number | undefined;
  readonly score: Score;
  /** Writes the H x W values of the next mask; called in order, once for each mask and image. */
  readonly fill: (mask: Float32Array, number: number) => void;
  /** The masked images [S,3,H,W] of an image [1,3,H,W] and masks [S,1,H,W]. */
  readonly apply: (image: Tensor, masks: Tensor) => Tensor;
  /** What the masks of image n count by, given the scores [K,S]; the scores themselves when left out. */
  readonly weigh?: (scores: Tensor, n: number) => Tensor;
}

/** @throws UsageError for a score that there is not */
export function requireScore(score: Score): void {
  if (!SCORES.includes(score)) throw new UsageError(`score "${score}" is unknown; use ${SCORES.join(' or ')}`);
}

/** Logits [S,classes] as what is asked for. */
export function asked(score: Score, logits: Tensor): Tensor {
  return score === 'logit' ? logits : softmax(logits, 1);
}

/**
 * The sum over masks of the mask, weighted by the score of the masked image.
 * @returns [N,K,H,W]
 * @throws the signal's reason when the work is cancelled
 */
export async function sumOfMasks(call: MethodCall, runs: MaskedRuns): Promise<Tensor> {
  const { model, input } = call;
  const [N = 1, , H = 1, W = 1] = input.shape;
  const sums: Tensor[] = [];
  await inBatches(call, { count: runs.count, batch: runs.batch ?? batchOfImages(call) }, (n, start, end) => {
    const part = tidy([input], (input) => {
      const values = new Float32Array((end - start) * H * W);
      for (let i = start; i < end; i++) runs.fill(values.subarray((i - start) * H * W, (i - start + 1) * H * W), i);
      const masks = tensor(deviceOf(input), values, [end - start, 1, H, W], { scope: input.scope });
      const scores = scoresOf(call, n, asked(runs.score, model.forward(runs.apply(imageOf(input, n), masks))));
      return matmul(runs.weigh?.(scores, n) ?? scores, reshape(masks, [end - start, H * W]));
    });
    const before = sums[n];
    sums[n] = before ? add(before, part) : part;
    if (before) for (const tensor of [before, part]) tensor.dispose();
    return at(sums, n);
  });
  return tidy(sums, (...sums) => {
    const K = at(at(sums, 0).shape, 0);
    return reshape(concat(sums, 0), [N, K, H, W]);
  });
}

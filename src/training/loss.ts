import { UsageError } from '../errors.ts';
import { logSoftmax, mean, mul, neg, sum } from '../kernels/index.ts';
import { tidy } from '../tensor/scope.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * The mean over the batch of -sum_c target_c log softmax(logits)_c, as `torch.nn.functional.cross_entropy` has it for
 * targets that are probabilities.
 * @param logits [N, classes]
 * @param targets [N, classes], each row the share of every class
 * @returns a scalar
 */
export function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  if (logits.rank !== 2 || !sameShape(logits.shape, targets.shape)) {
    throw new UsageError(
      `crossEntropy: logits ${formatShape(logits.shape)} and targets ${formatShape(targets.shape)} must both be [N, classes]`,
    );
  }
  return tidy([logits, targets], (logits, targets) => neg(mean(sum(mul(targets, logSoftmax(logits)), [1]))));
}

import { UsageError } from '../../errors.ts';
import { deviceOf, matmul, reshape, transpose } from '../../kernels/index.ts';
import { AdaptiveAvgPool2d, Flatten, Linear } from '../../nn/layers.ts';
import type { Model } from '../../nn/model.ts';
import { at } from '../../tensor/shape.ts';
import { weightedSum } from '../algorithm.ts';
import type { Method } from '../method.ts';
import { oneHot } from '../observe.ts';
import { atLayer } from './at-layer.ts';

/**
 * CAM (Zhou et al. 2016, arXiv:1512.04150, equation 2): M[k] = sum over c of w[k,c] a[c], with the weights w of the linear
 * layer that sees the averages of the channels.
 *
 * There is such a map only for the layer that is averaged, and it is Grad-CAM's times I J.
 * @returns [N,K,I,J], signed; its mean over the pixels, plus the bias, is the logit
 * @throws UsageError where something else than an average and a linear layer is between the target layer and the logits
 */
export const cam: Method = (call) =>
  atLayer(call, ({ activations, logits }) => {
    const { weight } = headBehind(call.model, call.layer, at(activations.shape, 1));
    const [N = 1, count = 1] = logits.shape;
    // The rows of the classes: [N,K,classes] x [classes,C].
    const rows = reshape(transpose(oneHot(call, logits), [1, 0, 2]), [N, -1, count]);
    return weightedSum(matmul(rows, weight.on(deviceOf(activations))), activations);
  });

function headBehind(model: Model, layer: string, channels: number): Linear {
  const [pool, flatten, head, ...more] = model.after(layer) ?? [];
  const fits =
    pool instanceof AdaptiveAvgPool2d && flatten instanceof Flatten && head instanceof Linear && more.length === 0;
  if (!fits || head.weight.shape[1] !== channels) {
    throw new UsageError(
      `cam needs a layer of which the averages go into the linear head at once, and "${layer}" of ${model.name} is none; choose ${model.architecture.layer}, or the method grad-cam`,
    );
  }
  return head;
}

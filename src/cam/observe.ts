import { Tape } from '../autograd/tape.ts';
import { UsageError } from '../errors.ts';
import { deviceOf, softmax, tensor, transpose } from '../kernels/index.ts';
import type { Observer } from '../nn/forward-pass.ts';
import type { Model } from '../nn/model.ts';
import type { Scope } from '../tensor/scope.ts';
import { at, formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** In place of a layer: the image itself. */
export const INPUT = 'input';

/** Which scores are explained: for each image those of its K classes, or their negatives. */
export interface Target {
  readonly classes: readonly (readonly number[])[];
  /** Explains what speaks against the classes: the score is the negative logit. */
  readonly counterfactual?: boolean | undefined;
}

/** A forward pass that kept what the target layer returned, and what is needed to come back to it. */
export interface ObservedPass {
  readonly layer: string;
  /** [N, classes] */
  readonly logits: Tensor;
  /** [N, classes] */
  readonly probs: Tensor;
  /** [N,C,I,J] */
  readonly activations: Tensor;
  /**
   * The derivatives of the scores with respect to the activations, [N,K,C,I,J], from one walk back.
   * @param atFeatures what becomes of the derivatives [K,N,...] with respect to the last feature map before they go on
   */
  gradientsOf(target: Target, atFeatures?: (gradients: Tensor) => Tensor): Tensor;
  /** Lets go of what was recorded; the tensors above stay. */
  free(): void;
}

/**
 * Runs a model once and keeps what is asked for in `scope`.
 * @param layer dotted name, or `INPUT`
 * @throws UsageError for a layer that does not run, or returns no feature map
 */
export function observedForward(model: Model, input: Tensor, layer: string, scope: Scope): ObservedPass {
  const tape = new Tape();
  try {
    let target: Tensor | undefined;
    let activations: Tensor | undefined;
    let features: Tensor | undefined;
    const watch: Observer = (output) => {
      // A module that runs several times is explained at its last run, the one that a PyTorch hook keeps.
      activations?.dispose();
      activations = output.alias({ scope, recorder: undefined });
      target = tape.watch(output);
      return target;
    };
    const { layer: last } = model.architecture;
    const keepFeatures: Observer = (output) => {
      const seen = layer === last ? watch(output) : output;
      features = seen.alias({ scope });
      return seen;
    };
    // A network of one's own may have other layers than its architecture.
    const atLast = model.layers().includes(last) ? { [last]: keepFeatures } : {};
    const recorded =
      layer === INPUT
        ? model.forward(watch(scope.enter(input)), atLast)
        : model.forward(input, { [layer]: watch, ...atLast });
    if (!target || !activations)
      throw new UsageError(`layer "${layer}" does not run in this network's forward pass; choose another`);
    if (activations.rank !== 4) {
      throw new UsageError(
        `layer "${layer}" returns ${formatShape(activations.shape)}, which is no feature map [N,C,I,J]; choose a convolutional layer, such as ${model.architecture.layer}`,
      );
    }
    const logits = recorded.alias({ scope, recorder: undefined });
    const explained = target;
    return {
      layer,
      logits,
      probs: softmax(logits, 1),
      activations,
      gradientsOf: (scores, atFeatures) => {
        const back = (output: Tensor, cotangents: Tensor, to: Tensor) => at(tape.vjp(output, cotangents, [to]), 0);
        const start = oneHot(scores, logits);
        if (!atFeatures) return transpose(back(recorded, start, explained), [1, 0, 2, 3, 4]);
        if (!features)
          throw new UsageError(`this network has no layer "${last}", the last feature map of ${model.name}`);
        const changed = atFeatures(back(recorded, start, features));
        return transpose(back(features, changed, explained), [1, 0, 2, 3, 4]);
      },
      free: () => tape.dispose(),
    };
  } catch (error) {
    tape.dispose();
    throw error;
  }
}

/**
 * The derivatives of the scores with respect to the logits, [K,N,classes]: 1 at class `classes[n][k]` of image n (-1 for
 * a counterfactual), else 0.
 */
export function oneHot({ classes, counterfactual = false }: Target, logits: Tensor): Tensor {
  const [N = 1, count = 1] = logits.shape;
  const K = at(classes, 0).length;
  const values = new Float32Array(K * N * count);
  for (const [n, ofImage] of classes.entries()) {
    for (const [k, index] of ofImage.entries()) values[(k * N + n) * count + index] = counterfactual ? -1 : 1;
  }
  return tensor(deviceOf(logits), values, [K, N, count], { scope: logits.scope });
}

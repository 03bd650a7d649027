import { type BackwardRules, Tape } from '../../autograd/tape.ts';
import { abs, max, sum, transpose } from '../../kernels/index.ts';
import { tidy } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type Method, type MethodCall, throwIfAborted } from '../method.ts';
import { oneHot } from '../observe.ts';

export interface BackwardOptions {
  /** What takes the place of the gradients of the ops. */
  readonly rules?: BackwardRules | undefined;
  /**
   * What the walk begins with, [K,N,classes]; by itself the derivative of each target score.
   * @param targets [K,N,classes]: 1 at class k of image n (-1 for a counterfactual), else 0
   * @param logits [N,classes]
   */
  readonly start?: (targets: Tensor, logits: Tensor) => Tensor;
}

/**
 * One forward pass that is recorded from the image on, and one walk back to it for all K target logits.
 * @returns [K,N,3,H,W]
 */
export function backToInput(
  { model, classes, counterfactual }: Pick<MethodCall, 'model' | 'classes' | 'counterfactual'>,
  input: Tensor,
  { rules, start = (targets) => targets }: BackwardOptions = {},
): Tensor {
  const tape = new Tape();
  try {
    return tidy([input], (input) => {
      const image = tape.watch(input);
      const recorded = model.forward(image);
      const logits = recorded.alias({ recorder: undefined });
      return at(tape.vjp(recorded, start(oneHot({ classes, counterfactual }, logits), logits), [image], rules), 0);
    });
  } finally {
    tape.dispose();
  }
}

/** A method whose maps come out of one pass forth and back. */
export function inOnePass(explain: (call: MethodCall, input: Tensor) => Tensor): Method {
  return async (call) => {
    throwIfAborted(call);
    return tidy([call.input], (input) => explain(call, input));
  };
}

/** What the three colours contribute together: [K,N,3,H,W] to the signed maps [N,K,H,W]. */
export function sumOfColours(values: Tensor): Tensor {
  return imagesFirst(sum(values, [2]));
}

/** The largest magnitude among the three colours: [K,N,3,H,W] to maps [N,K,H,W] without a sign. */
export function strongestColour(values: Tensor): Tensor {
  return imagesFirst(max(abs(values), [2]));
}

/** [K,N,H,W] to [N,K,H,W]. */
function imagesFirst(maps: Tensor): Tensor {
  return transpose(maps, [1, 0, 2, 3]);
}

import { mul, reshape, sum } from '../../kernels/index.ts';
import type { Scope } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { weightedSum } from '../algorithm.ts';
import { type Method, type MethodCall, throwIfAborted } from '../method.ts';
import { type ObservedPass, observedForward } from '../observe.ts';
import { inScopeOfInput } from '../passes.ts';
import type { AtLayer, ChannelWeights } from './channel-weights.ts';
import { firstComponent } from './principal.ts';

export interface CombineOptions {
  /**
   * The first principal component of the weighted channels instead of their sum (Muhammad and Yeasin 2020 for the idea,
   * pytorch-grad-cam's `eigen_smooth` for the use): what the channels have in common, with less noise.
   */
  readonly eigenSmooth?: boolean;
}

/**
 * A method that weights the channels of the target layer: M[k] = sum over c of w[k,c] a[c].
 * @returns [N,K,I,J], signed
 */
export function weightedChannels(weights: ChannelWeights, options: CombineOptions = {}): Method {
  return (call) =>
    atLayer(call, async ({ activations, gradients }) =>
      combine(weights({ activations, gradients: gradients() }), activations, options),
    );
}

/**
 * The sum over channels of weight times activation.
 * @param weights [N,K,C] or [N,K,C,I,J]
 * @param activations [N,C,I,J]
 * @returns [N,K,I,J]
 */
export async function combine(
  weights: Tensor,
  activations: Tensor,
  { eigenSmooth = false }: CombineOptions = {},
): Promise<Tensor> {
  if (weights.rank === 3 && !eigenSmooth) return weightedSum(weights, activations);
  const weighted = weightChannels(weights, activations);
  const result = eigenSmooth ? await componentOfClasses(weighted) : sum(weighted, [2]);
  weighted.dispose();
  return result;
}

/** [N,K,C,I,J] */
function weightChannels(weights: Tensor, activations: Tensor): Tensor {
  const [N = 1, C = 1, I = 1, J = 1] = activations.shape;
  const perPixel = weights.rank === 5 ? weights : reshape(weights, [N, -1, C, 1, 1]);
  return mul(perPixel, reshape(activations, [N, 1, C, I, J]));
}

/** The first principal component of each class: [N,K,C,I,J] to [N,K,I,J]. */
export async function componentOfClasses(x: Tensor): Promise<Tensor> {
  const [N = 1, K = 1, C = 1, I = 1, J = 1] = x.shape;
  return reshape(await firstComponent(reshape(x, [N * K, C, I, J])), [N, K, I, J]);
}

/** What a pass left at the target layer; the gradients are computed when they are asked for. */
interface Observed extends Omit<AtLayer, 'gradients'>, Pick<ObservedPass, 'logits'> {
  /** @param atFeatures see `ObservedPass.gradientsOf` */
  readonly gradients: (atFeatures?: (gradients: Tensor) => Tensor) => Tensor;
}

/** Runs `compute` on what a pass leaves at the target layer, in a scope of its own; its result belongs to that of the input. */
export async function atLayer(
  call: MethodCall,
  compute: (observed: Observed, call: MethodCall, scope: Scope) => Promise<Tensor> | Tensor,
): Promise<Tensor> {
  throwIfAborted(call);
  return inScopeOfInput(call, async (call, scope) => {
    const { model, input, layer, observed } = call;
    const reused = observed?.layer === layer ? observed : undefined;
    const pass = reused ?? observedForward(model, input, layer, scope);
    try {
      const owned = (tensor: Tensor) => {
        tensor.moveTo(scope);
        return tensor;
      };
      return await compute(
        {
          logits: scope.enter(pass.logits),
          activations: scope.enter(pass.activations),
          gradients: (atFeatures) => owned(pass.gradientsOf(call, atFeatures)),
        },
        call,
        scope,
      );
    } finally {
      if (!reused) pass.free();
    }
  });
}

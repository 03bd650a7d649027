import { scalar } from '../kernels/create.ts';
import { deviceOf } from '../kernels/device.ts';
import { add, div, mul, multiplyAdd, sqrt } from '../kernels/index.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** How one parameter is updated. */
export interface Update {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** What the optimiser remembers, in the order of `Optimiser.memory`. */
  readonly memory: readonly Tensor[];
  readonly rate: number;
  /** Of this update, from 1. */
  readonly step: number;
}

/** An optimiser treats every parameter by itself, on its device: nothing is read back. */
export interface Optimiser {
  /** What it remembers of each parameter, by PyTorch's names: tensors of the parameter's shape, 0 at first. */
  readonly memory: readonly string[];
  /** The new parameter, and what is remembered from now on. What is computed on the way is left to the caller's scope. */
  update(update: Update): { readonly parameter: Tensor; readonly memory: readonly Tensor[] };
}

export interface SgdOptions {
  readonly momentum?: number;
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
}

/** Stochastic gradient descent with momentum, as `torch.optim.SGD` (the velocity is not scaled by the learning rate). */
export function sgd({ momentum = 0, weightDecay = 0, nesterov = false }: SgdOptions = {}): Optimiser {
  return {
    memory: ['momentum_buffer'],
    update({ parameter, gradient, memory: [velocity = gradient], rate }) {
      const number = numbersBeside(parameter);
      const g = weightDecay === 0 ? gradient : multiplyAdd(parameter, number(weightDecay), gradient);
      const next = multiplyAdd(velocity, number(momentum), g);
      const direction = nesterov ? multiplyAdd(next, number(momentum), g) : next;
      return { parameter: multiplyAdd(direction, number(-rate), parameter), memory: [next] };
    },
  };
}

export interface AdamWOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
  readonly weightDecay?: number;
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), as `torch.optim.AdamW`. */
export function adamW({ betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01 }: AdamWOptions = {}): Optimiser {
  const [beta1, beta2] = betas;
  return {
    memory: ['exp_avg', 'exp_avg_sq'],
    update({ parameter, gradient, memory: [mean = gradient, square = gradient], rate, step }) {
      const number = numbersBeside(parameter);
      const nextMean = multiplyAdd(mean, number(beta1), mul(gradient, number(1 - beta1)));
      const share = mul(gradient, number(1 - beta2));
      const nextSquare = multiplyAdd(gradient, share, mul(square, number(beta2)));
      // The averages began with 0: they are short of what they estimate by these factors.
      const [correction1, correction2] = [1 - beta1 ** step, 1 - beta2 ** step];
      const deviation = add(mul(sqrt(nextSquare), number(1 / Math.sqrt(correction2))), number(eps));
      const decayed = weightDecay === 0 ? parameter : mul(parameter, number(1 - rate * weightDecay));
      const moved = multiplyAdd(div(nextMean, deviation), number(-rate / correction1), decayed);
      return { parameter: moved, memory: [nextMean, nextSquare] };
    },
  };
}

/** Makes scalars on the device and in the scope of a tensor. */
function numbersBeside(tensor: Tensor): (value: number) => Tensor {
  return (value) => scalar(deviceOf(tensor), value, tensor.scope);
}

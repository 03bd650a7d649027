import { deviceOf } from '../kernels/device.ts';
import { tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Parameter } from './constant.ts';
import type { Module } from './module.ts';

/** Is shown the output of an observed module and returns what the network goes on with: the same values, or others of the same shape. */
export type Observer = (output: Tensor) => Tensor;

/**
 * One run of a network. It knows which module outputs somebody wants to see: layers fuse freely, except across those.
 * A module that runs several times (a ReLU that a block uses twice) is observed each time.
 */
export class ForwardPass {
  readonly #observers: ReadonlyMap<Module, Observer>;

  constructor(observers: ReadonlyMap<Module, Observer> = new Map()) {
    this.#observers = observers;
  }

  observes(module: Module): boolean {
    return this.#observers.has(module);
  }

  /** Runs a module and frees everything that it computes on the way. */
  call(module: Module, x: Tensor): Tensor {
    return this.emit(
      module,
      tidy([x], (input) => module.forward(input, this)),
    );
  }

  /** The values of a parameter, on the device of `x`. */
  value(parameter: Parameter, x: Tensor): Tensor {
    return parameter.on(deviceOf(x));
  }

  /** Announces a value as the output of a module, for those that run as part of a fused op; use what it returns. */
  emit(module: Module, output: Tensor): Tensor {
    return this.#observers.get(module)?.(output) ?? output;
  }
}

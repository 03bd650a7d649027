import { Tape } from '../autograd/tape.ts';
import { InputError } from '../errors.ts';
import { full, tensor } from '../kernels/create.ts';
import type { Device } from '../kernels/device.ts';
import { reshape } from '../kernels/index.ts';
import { type Parameter, RunningStatistic } from '../nn/constant.ts';
import type { Module } from '../nn/module.ts';
import type { HostArray, StateDict } from '../nn/weights/host-array.ts';
import { matchStateDict } from '../nn/weights/state-dict.ts';
import { Scope } from '../tensor/scope.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { TrainingPass } from './training-pass.ts';

export interface Differentiated {
  readonly loss: Tensor;
  readonly logits: Tensor;
  /** For each learnt parameter by its state-dict key, of its shape. */
  readonly gradients: ReadonlyMap<string, Tensor>;
}

/** A network whose parameters and running statistics are tensors on a device, which training replaces step by step. */
export class Trainable {
  readonly device: Device;
  readonly #module: Module;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #values = new Map<Parameter, Tensor>();

  /** Begins with the weights that the module has been given. */
  constructor(module: Module, device: Device) {
    this.device = device;
    this.#module = module;
    this.#parameters = module.parameters();
    for (const parameter of this.#parameters.values()) {
      this.#values.set(parameter, tensor(device, parameter.values, parameter.shape));
    }
  }

  /** What is learnt, by state-dict key: everything but the running statistics. The tensors are replaced by `set`. */
  learnt(): Map<string, Tensor> {
    return new Map(
      [...this.#parameters].flatMap(([key, parameter]) =>
        parameter instanceof RunningStatistic ? [] : [[key, this.#value(parameter)]],
      ),
    );
  }

  /** Replaces a parameter by a tensor of its shape, and frees what was there. */
  set(key: string, value: Tensor): void {
    const parameter = this.#parameters.get(key);
    if (!parameter) throw new RangeError(`the network has no parameter "${key}"`);
    this.#replace(parameter, value);
  }

  /**
   * One pass forward in training mode, which updates the running statistics, and the gradient of a loss.
   * @param images [N, 3, H, W]
   * @param objective of the logits [N, classes], a scalar
   */
  differentiate(images: Tensor, objective: (logits: Tensor) => Tensor): Differentiated {
    const tape = new Tape();
    const scope = new Scope();
    try {
      const values = new Map<Parameter, Tensor>();
      const watched = new Map<string, Tensor>();
      for (const [key, parameter] of this.#parameters) {
        const value = scope.enter(this.#value(parameter));
        const learnt = !(parameter instanceof RunningStatistic);
        if (learnt) watched.set(key, tape.watch(value));
        values.set(parameter, watched.get(key) ?? value);
      }
      const pass = new TrainingPass(values, scope);
      const logits = pass.call(this.#module, scope.enter(images));
      const loss = objective(logits);
      const one = full(this.device, [1, ...loss.shape], 1, scope);
      const gradients = tape.vjp(loss, one, [...watched.values()]);
      const keep = (kept: Tensor) => kept.alias({ scope: undefined, recorder: undefined });
      for (const [statistic, value] of pass.statistics) this.#replace(statistic, keep(value));
      return {
        loss: keep(loss),
        logits: keep(logits),
        gradients: new Map(
          [...watched.keys()].map((key, i) => {
            const gradient = at(gradients, i);
            return [key, keep(reshape(gradient, gradient.shape.slice(1)))];
          }),
        ),
      };
    } finally {
      scope.dispose();
      tape.dispose();
    }
  }

  /** A copy of all weights on the host, with PyTorch's names. */
  async stateDict(): Promise<StateDict> {
    const entries = [...this.#parameters].map(
      async ([key, parameter]): Promise<[string, HostArray]> => [
        key,
        { shape: parameter.shape, data: await this.#value(parameter).data() },
      ],
    );
    return new Map(await Promise.all(entries));
  }

  /** @throws InputError when the weights are not of this network; `file` is for its message */
  loadStateDict(state: StateDict, file: string): void {
    for (const [key, { data, shape }] of matchStateDict(this.#module.stateShapes(), state, file)) {
      if (!(data instanceof Float32Array)) throw new InputError(`${file}: "${key}" is not float32; store it as F32`);
      this.set(key, tensor(this.device, data, shape));
    }
  }

  dispose(): void {
    for (const value of this.#values.values()) value.dispose();
    this.#values.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #value(parameter: Parameter): Tensor {
    const value = this.#values.get(parameter);
    if (!value) throw new RangeError('a network is used after dispose()');
    return value;
  }

  #replace(parameter: Parameter, value: Tensor): void {
    this.#values.get(parameter)?.dispose();
    this.#values.set(parameter, value);
  }
}

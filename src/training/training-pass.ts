import { batchNormTraining } from '../kernels/index.ts';
import type { Parameter, RunningStatistic } from '../nn/constant.ts';
import { ForwardPass } from '../nn/forward-pass.ts';
import { BatchNorm2d } from '../nn/layers.ts';
import type { Module } from '../nn/module.ts';
import type { Scope } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** A run of a network in training mode: batch norms use the statistics of the batch, and update the running ones. */
export class TrainingPass extends ForwardPass {
  /** The running statistics behind the batch norms that ran. */
  readonly statistics = new Map<RunningStatistic, Tensor>();
  readonly #values: ReadonlyMap<Parameter, Tensor>;
  readonly #scope: Scope;

  /** @param scope where the new statistics live */
  constructor(values: ReadonlyMap<Parameter, Tensor>, scope: Scope) {
    super();
    this.#values = values;
    this.#scope = scope;
  }

  /** Everything is: fused with what is before it, a batch norm has the running statistics and not those of the batch. */
  override observes(): boolean {
    return true;
  }

  override value(parameter: Parameter): Tensor {
    const value = this.statistics.get(parameter) ?? this.#values.get(parameter);
    if (!value) throw new RangeError('a network has a parameter that its state dict lacks');
    return value;
  }

  override call(module: Module, x: Tensor): Tensor {
    return module instanceof BatchNorm2d ? this.#normalise(module, x) : super.call(module, x);
  }

  #normalise(norm: BatchNorm2d, x: Tensor): Tensor {
    const { y, mean, variance } = batchNormTraining(x, {
      mean: this.value(norm.running_mean),
      variance: this.value(norm.running_var),
      weight: this.value(norm.weight),
      bias: this.value(norm.bias),
      eps: norm.eps,
    });
    this.#update(norm.running_mean, mean);
    this.#update(norm.running_var, variance);
    return y;
  }

  #update(statistic: RunningStatistic, value: Tensor): void {
    value.moveTo(this.#scope);
    this.statistics.set(statistic, value);
  }
}

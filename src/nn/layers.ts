import type { ConvGeometry } from '../kernels/conv2d/geometry.ts';
import { type Pair, pair } from '../kernels/core/pair.ts';
import {
  adaptiveAvgPool2d,
  add,
  avgPool2d,
  conv2d,
  type Device,
  deviceOf,
  linear,
  maxPool2d,
  multiplyAdd,
  multiplyAddRelu,
  relu,
  reshape,
} from '../kernels/index.ts';
import { applyConstant } from '../kernels/op.ts';
import { pointwiseDefinition } from '../kernels/pointwise/index.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Constant, Parameter, RunningStatistic } from './constant.ts';
import type { ForwardPass } from './forward-pass.ts';
import { Module } from './module.ts';

export interface Conv2dLayerOptions extends Partial<Omit<ConvGeometry, 'groups'>> {
  readonly groups?: number;
  readonly bias?: boolean;
}

/** `torch.nn.Conv2d`. */
export class Conv2d extends Module {
  readonly weight: Parameter;
  readonly bias?: Parameter;
  readonly geometry: ConvGeometry;
  #folded: ({ readonly norm: BatchNorm2d } & Readonly<Record<'scale' | 'weight' | 'bias', Constant>>) | undefined;

  constructor(channels: number, out: number, kernel: number | Pair, options: Conv2dLayerOptions = {}) {
    super();
    const { stride = [1, 1], padding = [0, 0], dilation = [1, 1], groups = 1, bias = false } = options;
    this.weight = new Parameter([out, channels / groups, ...pair(kernel, 'kernel', 1)]);
    if (bias) this.bias = new Parameter([out]);
    this.geometry = { stride, padding, dilation, groups };
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const bias = this.bias && pass.value(this.bias, x);
    return conv2d(x, pass.value(this.weight, x), { ...this.geometry, bias });
  }

  /** The convolution with a batch norm behind it folded into its weight and bias, and what may follow that. */
  forwardFolded(
    x: Tensor,
    norm: BatchNorm2d,
    { activation, residual }: { activation: 'none' | 'relu'; residual?: Tensor | undefined },
  ): Tensor {
    const device = deviceOf(x);
    const { weight, bias } = this.#fold(norm);
    return conv2d(x, weight.on(device), { ...this.geometry, activation, residual, bias: bias.on(device) });
  }

  /** norm(conv(x)) = scale (w x + b) + shift = (scale w) x + (scale b + shift), for each output channel. */
  #fold(norm: BatchNorm2d) {
    if (this.#folded?.norm === norm) return this.#folded;
    const { shape } = this.weight;
    const scale = Constant.of([at(shape, 0), 1, 1, 1], () => Float32Array.from(norm.affine().scale));
    const weight = new Constant(shape, (device) =>
      applyConstant(pointwiseDefinition, [this.weight.on(device), scale.on(device)], { fn: 'mul' }),
    );
    const bias = Constant.of([at(shape, 0)], () => {
      const { scale, shift } = norm.affine();
      return Float32Array.from(shift, (value, c) => value + at(scale, c) * (this.bias?.values[c] ?? 0));
    });
    this.#folded = { norm, scale, weight, bias };
    return this.#folded;
  }

  protected override releaseDerived(device: Device): void {
    if (!this.#folded) return;
    const { scale, weight, bias } = this.#folded;
    for (const derived of [weight, bias, scale]) derived.release(device);
  }
}

/** `torch.nn.BatchNorm2d` in inference: x scale + shift for each channel. (Training: see `TrainingPass`.) */
export class BatchNorm2d extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;
  readonly running_mean: RunningStatistic;
  readonly running_var: RunningStatistic;
  readonly eps: number;
  readonly #scaleConstant: Constant;
  readonly #shiftConstant: Constant;

  constructor(channels: number, eps = 1e-5) {
    super();
    this.weight = new Parameter([channels]);
    this.bias = new Parameter([channels]);
    this.running_mean = new RunningStatistic([channels]);
    this.running_var = new RunningStatistic([channels]);
    this.eps = eps;
    this.#scaleConstant = Constant.of([channels, 1, 1], () => Float32Array.from(this.affine().scale));
    this.#shiftConstant = Constant.of([channels, 1, 1], () => Float32Array.from(this.affine().shift));
  }

  /** scale = weight / sqrt(variance + eps) and shift = bias - mean scale, computed in double precision. */
  affine(): { readonly scale: Float64Array; readonly shift: Float64Array } {
    const [gamma, beta] = [this.weight.values, this.bias.values];
    const [mean, variance] = [this.running_mean.values, this.running_var.values];
    const scale = new Float64Array(gamma.length);
    const shift = new Float64Array(gamma.length);
    for (let c = 0; c < gamma.length; c++) {
      scale[c] = (gamma[c] ?? 0) / Math.sqrt((variance[c] ?? 0) + this.eps);
      shift[c] = (beta[c] ?? 0) - (mean[c] ?? 0) * (scale[c] ?? 0);
    }
    return { scale, shift };
  }

  forward(x: Tensor): Tensor {
    const device = deviceOf(x);
    return multiplyAdd(x, this.#scaleConstant.on(device), this.#shiftConstant.on(device));
  }

  /** relu(norm(x)) in one pass over x. */
  forwardRelu(x: Tensor): Tensor {
    const device = deviceOf(x);
    return multiplyAddRelu(x, this.#scaleConstant.on(device), this.#shiftConstant.on(device));
  }

  protected override releaseDerived(device: Device): void {
    this.#scaleConstant.release(device);
    this.#shiftConstant.release(device);
  }
}

/** `torch.nn.ReLU`. */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x);
  }
}

/** `torch.nn.MaxPool2d`. */
export class MaxPool2d extends Module {
  readonly #options: { readonly kernel: number; readonly stride: number; readonly padding: number };

  constructor(kernel: number, stride: number, padding = 0) {
    super();
    this.#options = { kernel, stride, padding };
  }

  forward(x: Tensor): Tensor {
    return maxPool2d(x, this.#options);
  }
}

/** `torch.nn.AvgPool2d`. */
export class AvgPool2d extends Module {
  readonly #options: { readonly kernel: number; readonly stride: number };

  constructor(kernel: number, stride: number) {
    super();
    this.#options = { kernel, stride };
  }

  forward(x: Tensor): Tensor {
    return avgPool2d(x, this.#options);
  }
}

/** `torch.nn.AdaptiveAvgPool2d`. */
export class AdaptiveAvgPool2d extends Module {
  readonly #size: Pair;

  constructor(size: Pair) {
    super();
    this.#size = size;
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.#size);
  }
}

/** `torch.nn.Flatten`: all axes but the first become one. */
export class Flatten extends Module {
  forward(x: Tensor): Tensor {
    return reshape(x, [at(x.shape, 0), -1]);
  }
}

/** `torch.nn.Linear`. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(features: number, out: number) {
    super();
    this.weight = new Parameter([out, features]);
    this.bias = new Parameter([out]);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    return linear(x, pass.value(this.weight, x), pass.value(this.bias, x));
  }
}

/** `torch.nn.Sequential`: modules one after the other, named as given or by their number. */
export class Sequential extends Module {
  readonly #children: [string, Module][];

  constructor(children: readonly Module[] | Readonly<Record<string, Module>>) {
    super();
    this.#children = Object.entries(children);
  }

  override children(): [string, Module][] {
    return this.#children;
  }

  override sequence(): readonly Module[] {
    return this.#children.map(([, child]) => child);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    return chain(pass, x, this.sequence());
  }
}

/** Runs modules one after the other and frees each output as soon as the next one is there. */
export function chain(pass: ForwardPass, x: Tensor, modules: readonly Module[]): Tensor {
  let y = x;
  for (const module of modules) {
    const next = pass.call(module, y);
    if (y !== x) y.dispose();
    y = next;
  }
  return y;
}

/**
 * relu(norm(conv(x)) + residual), the body of every residual block, fused as far as nobody looks at what lies between.
 * @param options.relu left out where no activation follows; `true` where PyTorch calls a function that has no name
 */
export function convNorm(
  pass: ForwardPass,
  x: Tensor,
  conv: Conv2d,
  norm: BatchNorm2d,
  options: { readonly relu?: ReLU | true; readonly residual?: Tensor } = {},
): Tensor {
  const { relu: activation, residual } = options;
  if (pass.observes(conv)) return tail(pass, pass.call(norm, pass.call(conv, x)), options);
  if (pass.observes(norm)) {
    return tail(pass, pass.emit(norm, conv.forwardFolded(x, norm, { activation: 'none' })), options);
  }
  const y = conv.forwardFolded(x, norm, { activation: activation ? 'relu' : 'none', residual });
  return activation instanceof ReLU ? pass.emit(activation, y) : y;
}

function tail(
  pass: ForwardPass,
  normed: Tensor,
  { relu: activation, residual }: { relu?: ReLU | true; residual?: Tensor },
): Tensor {
  const sum = residual ? add(normed, residual) : normed;
  if (!activation) return sum;
  return activation === true ? relu(sum) : pass.call(activation, sum);
}

/** relu(norm(x)), as pre-activation networks begin their blocks, in one pass unless the norm is observed. */
export function normRelu(pass: ForwardPass, x: Tensor, norm: BatchNorm2d, activation?: ReLU): Tensor {
  const y = pass.observes(norm) ? relu(pass.call(norm, x)) : norm.forwardRelu(x);
  return activation ? pass.emit(activation, y) : y;
}

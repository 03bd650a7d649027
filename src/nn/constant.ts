import { constant } from '../kernels/create.ts';
import type { Device } from '../kernels/device.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Values that never change, which a device gets when it first needs them. They come from the host, which keeps them, or are
 * computed from others on the device: so one model runs on several devices, and moves to a new one when a device is lost.
 */
export class Constant {
  readonly shape: Shape;
  readonly #make: (device: Device) => Tensor;
  readonly #resident = new WeakMap<Device, Tensor>();

  constructor(shape: Shape, make: (device: Device) => Tensor) {
    this.shape = shape;
    this.#make = make;
  }

  /** A constant with the values that a function returns, row-major. */
  static of(shape: Shape, values: () => Float32Array): Constant {
    return new Constant(shape, (device) => constant(device, shape, values));
  }

  on(device: Device): Tensor {
    const resident = this.#resident.get(device);
    if (resident) return resident;
    const made = this.#make(device);
    this.#resident.set(device, made);
    return made;
  }

  /** Frees the copy on a device; the next use makes it again. */
  release(device: Device): void {
    this.#resident.get(device)?.dispose();
    this.#resident.delete(device);
  }
}

/** A named entry of a state dict: a constant whose values come from a weight file. */
export class Parameter extends Constant {
  #loaded: Float32Array | undefined;

  constructor(shape: Shape) {
    super(shape, (device) => constant(device, shape, () => this.values));
  }

  /** Row-major. */
  get values(): Float32Array {
    if (!this.#loaded) throw new RangeError('a parameter is used before the weights are loaded');
    return this.#loaded;
  }

  load(values: Float32Array): void {
    this.#loaded = values;
  }
}

/** A parameter that is not learnt: forward passes of training update it. PyTorch calls it a buffer. */
export class RunningStatistic extends Parameter {}

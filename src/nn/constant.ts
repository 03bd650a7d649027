import { tensor } from '../kernels/create.ts';
import type { Device } from '../kernels/device.ts';
import type { AxisOrder } from '../tensor/layout.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Values that never change, held by the host and uploaded to a device when that device first needs them. Because the
 * host keeps them, one model runs on several devices, and moves to a new one when a device is lost.
 */
export class Constant {
  readonly shape: Shape;
  readonly #values: () => Float32Array;
  readonly #order: AxisOrder | undefined;
  readonly #resident = new WeakMap<Device, Tensor>();

  /** @param order the order of axes in device memory, chosen so that the kernels need no copy */
  constructor(shape: Shape, values: () => Float32Array, order?: AxisOrder) {
    this.shape = shape;
    this.#values = values;
    this.#order = order;
  }

  on(device: Device): Tensor {
    const resident = this.#resident.get(device);
    if (resident) return resident;
    const uploaded = tensor(device, this.#values(), this.shape, {
      constant: true,
      ...(this.#order && { order: this.#order }),
    });
    this.#resident.set(device, uploaded);
    return uploaded;
  }

  /** Frees the copy on a device; the next use uploads again. */
  release(device: Device): void {
    this.#resident.get(device)?.dispose();
    this.#resident.delete(device);
  }
}

/** A named entry of a state dict: a constant whose values come from a weight file. */
export class Parameter extends Constant {
  #loaded: Float32Array | undefined;

  constructor(shape: Shape, order?: AxisOrder) {
    super(shape, () => this.values, order);
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

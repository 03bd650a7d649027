import { UsageError } from '../errors.ts';
import { type AxisOrder, denseLayout } from '../tensor/layout.ts';
import { type HostData, Storage } from '../tensor/memory.ts';
import type { Scope } from '../tensor/scope.ts';
import { formatShape, requireShape, type Shape, sizeOf } from '../tensor/shape.ts';
import { rearrange, Tensor } from '../tensor/tensor.ts';
import type { Device } from './device.ts';

export interface UploadOptions {
  /** Order of the axes in memory, from the outermost; row-major when left out. */
  readonly order?: AxisOrder;
  readonly scope?: Scope | undefined;
  /** The values never change, and neither may the array: kernels keep copies in their own layout, and read it again. */
  readonly constant?: boolean;
}

/** A tensor with the given values (row-major): float32 from a Float32Array or plain numbers, int32 from an Int32Array. */
export function tensor(
  device: Device,
  values: HostData | readonly number[],
  shape: Shape,
  options: UploadOptions = {},
): Tensor {
  requireShape(shape, 'tensor');
  if (values.length !== sizeOf(shape)) {
    throw new UsageError(
      `${values.length} values do not fill a tensor of shape ${formatShape(shape)}, which has ${sizeOf(shape)} elements`,
    );
  }
  const data = values instanceof Float32Array || values instanceof Int32Array ? values : Float32Array.from(values);
  const { order, scope, constant: isConstant = false } = options;
  const inOrder = () => (order ? rearrange(data, shape, order) : data);
  const dtype = data instanceof Int32Array ? 'int32' : 'float32';
  const storage = new Storage(
    device,
    4 * data.length,
    isConstant ? ({ block }) => device.write(block, inOrder()) : undefined,
  );
  try {
    if (!isConstant) device.write(storage.block, inOrder());
  } catch (error) {
    storage.release();
    throw error;
  }
  return new Tensor(storage, denseLayout(shape, order), { dtype, scope });
}

/** A float32 tensor whose values never change; they are asked for, row-major, whenever the device needs them. */
export function constant(device: Device, shape: Shape, values: () => Float32Array): Tensor {
  const storage = new Storage(device, 4 * sizeOf(shape), ({ block }) => device.write(block, values()));
  return new Tensor(storage, denseLayout(shape));
}

/** A float32 tensor with the same value everywhere. */
export function full(device: Device, shape: Shape, value: number, scope?: Scope): Tensor {
  return tensor(device, new Float32Array(sizeOf(shape)).fill(value), shape, { scope });
}

/** A scalar. */
export function scalar(device: Device, value: number, scope?: Scope): Tensor {
  return full(device, [], value, scope);
}

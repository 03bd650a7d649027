import { physicalOrder, type TensorSpec } from '../../tensor/layout.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Device, Kernel } from '../device.ts';
import { apply, type OpDefinition } from '../op.ts';
import { DryDevice } from '../webgpu/dry-device.ts';
import type { ProductSize, ShaderTarget } from '../webgpu/tiles.ts';
import { productKey } from './table.ts';

/** A call of an op: all of it but the values. */
export interface Call {
  readonly op: string;
  readonly inputs: readonly CallInput[];
  readonly outputs: readonly Shape[];
  /** Runs the op on tensors like `inputs`. */
  readonly run: (inputs: readonly Tensor[]) => Tensor[];
  /** The matrix products that a tiling is chosen for on a device like this. */
  readonly products: (target: ShaderTarget) => ProductSize[];
}

export interface CallInput extends TensorSpec {
  /** The values never change, and kernels keep copies in their own layout. */
  readonly constant: boolean;
}

/** The calls that some work would make on a WebGPU device, in their order. Nothing is computed. */
export function recordCalls(work: (device: Device) => void): Call[] {
  const calls: Call[] = [];
  const device = new DryDevice((kernel, inputs, outputs, attributes) => {
    // Copies into another layout are no ops.
    if (!isOp(kernel)) return;
    calls.push({
      op: kernel.name,
      inputs: inputs.map(({ storage, ...spec }) => ({ ...spec, constant: storage.constant })),
      outputs: outputs.map(({ shape }) => shape),
      run: (tensors) => apply(kernel, tensors, attributes),
      products: (target) => {
        const products: ProductSize[] = [];
        const measured = (size: ProductSize) => {
          products.push(size);
          return undefined;
        };
        kernel.webgpu({ inputs, outputs, attributes, target: { ...target, tiling: undefined, measured } });
        return products;
      },
    });
  });
  work(device);
  return calls;
}

function isOp<Attributes>(kernel: Kernel<Attributes>): kernel is OpDefinition<Attributes> {
  return 'outputs' in kernel;
}

/** A call that stands for all whose products have these sizes. */
export interface TunableCall {
  readonly call: Call;
  readonly products: readonly ProductSize[];
}

/** Of calls whose products have equal sizes the first; those that no tiling is chosen for are left out. */
export function tunableCalls(calls: readonly Call[], target: ShaderTarget): TunableCall[] {
  const distinct = new Map<string, TunableCall>();
  for (const call of calls) {
    const products = call.products(target);
    const key = products.map(productKey).join();
    if (products.length > 0 && !distinct.has(key)) distinct.set(key, { call, products });
  }
  return [...distinct.values()];
}

/** What a call takes, as `tensor` wants to be told. */
export function uploadOptions(input: CallInput) {
  return { order: physicalOrder(input), constant: input.constant };
}

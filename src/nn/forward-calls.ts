import { tensor } from '../kernels/create.ts';
import { type Call, recordCalls } from '../kernels/tuning/calls.ts';
import { Scope } from '../tensor/scope.ts';
import { sizeOf } from '../tensor/shape.ts';
import { Model } from './model.ts';
import { architecture } from './models/registry.ts';

/**
 * The calls of ops that a forward pass of a model makes on a WebGPU device. Needs no weights.
 * @param input [N, 3, H, W]
 */
export function forwardCalls(name: string, input: readonly [number, number, number, number]): Call[] {
  const { build, labels } = architecture(name);
  const module = build(labels.length);
  const shapes = [...module.stateShapes()];
  const zeros = new Float32Array(Math.max(...shapes.map(([, shape]) => sizeOf(shape))));
  module.loadValues(new Map(shapes.map(([key, shape]) => [key, { data: zeros.subarray(0, sizeOf(shape)) }])));
  const model = new Model(name, module, labels);
  return recordCalls((device) => {
    using scope = new Scope();
    model.forward(tensor(device, new Float32Array(sizeOf(input)), input, { scope }));
    model.release(device);
  });
}

import { at } from '../../tensor/shape.ts';
import { assemble } from '../assemble/index.ts';
import { type GradientCall, type GradientRule, onlyCotangent } from '../gradient.ts';
import { sumTo } from '../reduce/index.ts';
import {
  type ExpandAttributes,
  type ReshapeAttributes,
  reshape,
  type SliceAttributes,
  type TransposeAttributes,
  transpose,
} from './index.ts';

/** The cotangent [K, ...y], K, and the shape of the only input. */
function parts(call: GradientCall<unknown>) {
  const cotangent = onlyCotangent(call);
  return { cotangent, k: at(cotangent.shape, 0), shape: at(call.inputs, 0).shape };
}

export const reshapeGradient: GradientRule<ReshapeAttributes> = (call) => {
  const { cotangent, k, shape } = parts(call);
  return [() => reshape(cotangent, [k, ...shape])];
};

export const transposeGradient: GradientRule<TransposeAttributes> = (call) => {
  const inverse = call.attributes.permutation.map((_, axis) => call.attributes.permutation.indexOf(axis));
  return [() => transpose(onlyCotangent(call), [0, ...inverse.map((axis) => axis + 1)])];
};

export const sliceGradient: GradientRule<SliceAttributes> = (call) => {
  const { cotangent, k, shape } = parts(call);
  const { starts, ends, steps } = call.attributes;
  const place = { starts: [0, ...starts], ends: [k, ...ends], steps: [1, ...steps] };
  return [() => assemble([cotangent], { shape: [k, ...shape], value: 0, places: [place] })];
};

export const expandGradient: GradientRule<ExpandAttributes> = (call) => {
  const { cotangent, shape } = parts(call);
  return [() => sumTo(cotangent, shape)];
};

import { tidy } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type GradientCall, type GradientRule, onlyCotangent } from '../gradient.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { reshape } from '../view/index.ts';
import {
  type AdaptiveAvgPool2dAttributes,
  adaptiveAvgPool2dGradientDefinition,
  type Pool2dAttributes,
  pool2dGradientDefinition,
} from './index.ts';

export const pool2dGradient: GradientRule<Pool2dAttributes> = (call) => [
  () => backward(pool2dGradientDefinition, call),
];

export const adaptiveAvgPool2dGradient: GradientRule<AdaptiveAvgPool2dAttributes> = (call) => [
  () => backward(adaptiveAvgPool2dGradientDefinition, call),
];

/** Runs a gradient op with the K scores folded into the batch. */
function backward<Attributes>(definition: OpDefinition<Attributes>, call: GradientCall<Attributes>): Tensor {
  const x = at(call.inputs, 0);
  return tidy([onlyCotangent(call)], (cotangent) => {
    const folded = reshape(cotangent, [-1, ...cotangent.shape.slice(2)]);
    const gradient = applySingle(definition, [folded, x], call.attributes);
    return reshape(gradient, [at(cotangent.shape, 0), ...x.shape]);
  });
}

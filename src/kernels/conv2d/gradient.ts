import type { Tensor } from '../../tensor/tensor.ts';
import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { applySingle } from '../op.ts';
import { pointwise } from '../pointwise/index.ts';
import { sum } from '../reduce/index.ts';
import { reshape } from '../view/index.ts';
import { dims } from './geometry.ts';
import { type Conv2dAttributes, conv2dInputGradientDefinition, conv2dWeightGradientDefinition } from './index.ts';

export const conv2dGradient: GradientRule<Conv2dAttributes> = (call) => {
  const { attributes } = call;
  const [x, weight] = call.inputs;
  const [y] = call.outputs;
  if (!x || !weight || !y) return [];
  const { stride, padding, dilation, groups } = attributes;
  const geometry = { stride, padding, dilation, groups };

  // What comes through the activation is shared by all inputs, and computed when the first of them asks.
  let passed: Tensor | undefined;
  const beforeActivation = () => {
    const cotangent = onlyCotangent(call);
    passed ??= attributes.activation === 'relu' ? pointwise('reluGradient', [cotangent, y]) : cotangent;
    return passed;
  };

  const dx = () => {
    const [n, channels, h, w] = dims(x.shape);
    const [k = 1, , ...result] = beforeActivation().shape;
    // All K scores in one pass: they are folded into the batch.
    const folded = reshape(beforeActivation(), [k * n, ...result]);
    const gradient = applySingle(conv2dInputGradientDefinition, [folded, weight], { ...geometry, size: [h, w] });
    return reshape(gradient, [k, n, channels, h, w]);
  };
  const dw = () => {
    const [, , kh, kw] = dims(weight.shape);
    return applySingle(conv2dWeightGradientDefinition, [x, beforeActivation()], { ...geometry, kernel: [kh, kw] });
  };
  const dbias = () => sum(beforeActivation(), [1, 3, 4]);

  return [dx, dw, ...(attributes.bias ? [dbias] : []), ...(attributes.residual ? [beforeActivation] : [])];
};

import type { Tensor } from '../../tensor/tensor.ts';
import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { sumTo } from '../reduce/index.ts';
import { transpose } from '../view/index.ts';
import { type MatmulAttributes, matmul } from './index.ts';

/** With the cotangent g [K, ..., M, N]: g b^T for a, a^T g for b, summed over the batch axes that were broadcast. */
export const matmulGradient: GradientRule<MatmulAttributes> = (call) => {
  const [a, b] = call.inputs;
  if (!a || !b) return [];
  const g = onlyCotangent(call);
  return [() => sumTo(matmul(g, swapLastTwo(b)), a.shape), () => sumTo(matmul(swapLastTwo(a), g), b.shape)];
};

function swapLastTwo(x: Tensor): Tensor {
  const order = x.shape.map((_, axis) => axis);
  return transpose(x, [...order.slice(0, -2), x.rank - 1, x.rank - 2]);
}

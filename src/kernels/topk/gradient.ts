import type { GradientRule } from '../gradient.ts';
import type { TopkAttributes } from './index.ts';
import { scatter } from './scatter.ts';

/** Derivatives flow to the selected elements; the positions have none. */
export const topkGradient: GradientRule<TopkAttributes> = ({ inputs, outputs, cotangents, attributes: { axis } }) => {
  const [x] = inputs;
  const [, indices] = outputs;
  const [cotangent] = cotangents;
  if (!x || !indices || !cotangent) return [];
  return [() => scatter(cotangent, indices, { shape: x.shape, axis })];
};

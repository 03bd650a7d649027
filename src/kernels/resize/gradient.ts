import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { type InterpolateAxisAttributes, interpolateAxis } from './index.ts';
import { transposeTable } from './table.ts';

export const interpolateAxisGradient: GradientRule<InterpolateAxisAttributes> = (call) => {
  const { axis, table } = call.attributes;
  return [() => interpolateAxis(onlyCotangent(call), axis + 1, transposeTable(table))];
};

import { at } from '../../tensor/shape.ts';
import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { slice } from '../view/index.ts';
import type { AssembleAttributes } from './index.ts';

export const assembleGradient: GradientRule<AssembleAttributes> = (call) => {
  const cotangent = onlyCotangent(call);
  const k = at(cotangent.shape, 0);
  return call.attributes.places.map(
    ({ starts, ends, steps }) =>
      () =>
        slice(cotangent, [0, ...starts], [k, ...ends], [1, ...steps]),
  );
};

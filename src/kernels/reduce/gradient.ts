import { sizeOf } from '../../tensor/shape.ts';
import { scalar } from '../create.ts';
import { deviceOf } from '../device.ts';
import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { div, equal, mul } from '../pointwise/index.ts';
import { expand, reshape } from '../view/index.ts';
import { type ReduceAttributes, sum } from './index.ts';
import { collapsedShape } from './loops.ts';

export const reduceGradient: GradientRule<ReduceAttributes> = (call) => {
  const { fn, axes } = call.attributes;
  const [x] = call.inputs;
  const [y] = call.outputs;
  if (!x || !y) return [];
  const cotangent = onlyCotangent(call);
  const [k = 1] = cotangent.shape;
  const keptShape = collapsedShape(x.shape, axes);
  const kept = () => reshape(cotangent, [k, ...keptShape]);
  const spread = (gradient = kept()) => expand(gradient, [k, ...x.shape]);

  switch (fn) {
    case 'sum':
      return [() => spread()];
    case 'mean': {
      const share = sizeOf(keptShape) / sizeOf(x.shape);
      return [() => spread(mul(kept(), scalar(deviceOf(cotangent), share, cotangent.scope)))];
    }
    case 'max':
      // Elements that tie share evenly, as in torch.amax.
      return [
        () => {
          const isMaximum = equal(x, reshape(y, keptShape));
          return mul(isMaximum, div(kept(), sum(isMaximum, axes, true)));
        },
      ];
  }
};

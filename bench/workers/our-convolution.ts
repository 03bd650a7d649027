import type { Device, Scope, Tensor } from '../../src/index.ts';
import { type Convolution, padding } from '../convolutions.ts';
import type { Library } from './library.ts';
import { randomOperands } from './operands.ts';
import type { Prepared } from './serve.ts';

/** Channels innermost, for images and for weights: what networks keep, so that nothing is copied. */
const IMAGE_ORDER = [0, 2, 3, 1];
const WEIGHT_ORDER = [2, 3, 1, 0];

/** relu(conv(x) + bias), as layers call it. */
export function convolution(
  { tensor, conv2d, slice, withScope }: Library,
  device: Device,
  shape: Convolution,
): Prepared {
  const operands = randomOperands(shape);
  const x = tensor(device, operands.x.values, operands.x.shape, { order: IMAGE_ORDER });
  const weight = tensor(device, operands.weight.values, operands.weight.shape, { order: WEIGHT_ORDER, constant: true });
  const bias = tensor(device, operands.bias.values, operands.bias.shape, { constant: true });
  const { stride, kernel } = shape;
  const y = (scope: Scope): Tensor =>
    conv2d(scope.enter(x), weight, { bias, stride, padding: padding(kernel), activation: 'relu' });
  return {
    all: () => withScope((scope) => y(scope).data()),
    one: (runs) =>
      withScope((scope) => {
        for (let run = 1; run < runs; run++) y(scope).dispose();
        return slice(y(scope), [0, 0, 0, 0], [1, 1, 1, 1]).data();
      }),
  };
}

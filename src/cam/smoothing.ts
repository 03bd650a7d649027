import { add, deviceOf, matmul, mul, scalar, tensor } from '../kernels/index.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Method } from './method.ts';
import { inScopeOfInput, partOf, settled } from './passes.ts';

/** What the image is multiplied by, as it is and reflected. */
const BRIGHTNESS = [1, 0.9, 1.1];
const VERSIONS = BRIGHTNESS.flatMap((brightness) => [
  { brightness, reflected: false },
  { brightness, reflected: true },
]);

/**
 * The mean of the raw maps of six versions of the image: as it is, and reflected left to right (its map is reflected back),
 * each times 1, 0.9 and 1.1. These are the versions of pytorch-grad-cam's `aug_smooth`, which averages maps that are scaled
 * to [0,1] one by one; raw maps keep their sign, and classes what they have relative to each other.
 */
export function augSmoothed(method: Method): Method {
  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const { input } = call;
      let sum: Tensor = scalar(deviceOf(input), 0, scope);
      for (const [i, { brightness, reflected }] of VERSIONS.entries()) {
        const image = reflected ? reflect(input) : input;
        const version = mul(image, scalar(deviceOf(input), brightness, scope));
        // The pass that found the classes saw the first version, which is the image itself.
        const observed = i === 0 ? call.observed : undefined;
        const progress = partOf(call.progress, i, VERSIONS.length);
        const map = await method({ ...call, input: version, observed, progress });
        sum = add(sum, reflected ? reflect(map) : map);
        await settled(sum);
        call.progress?.(i + 1, VERSIONS.length);
      }
      return mul(sum, scalar(deviceOf(input), 1 / VERSIONS.length, scope));
    });
}

/** Left to right: the product with the matrix that has ones on its other diagonal. */
function reflect(x: Tensor): Tensor {
  const width = at(x.shape, x.rank - 1);
  const values = new Float32Array(width * width);
  for (let i = 0; i < width; i++) values[i * width + width - 1 - i] = 1;
  return matmul(x, tensor(deviceOf(x), values, [width, width], { scope: x.scope }));
}

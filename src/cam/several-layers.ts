import { abs, add, deviceOf, div, max, mul, resize, scalar, where } from '../kernels/index.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Method } from './method.ts';
import { inScopeOfInput, partOf, settled } from './passes.ts';

/**
 * The mean of a method's raw maps at several layers. Each layer's maps are brought to the finest layer's resolution
 * (bilinear), and divided by their largest magnitude over all classes and pixels of an image, so that layers count alike while
 * signs, and what the classes have relative to each other, stay.
 *
 * pytorch-grad-cam scales the map of each class and layer to [0,1] by itself, after a ReLU; then classes say nothing about
 * each other, and a fusion would make no sense.
 */
export function averagedOver(layers: readonly string[], method: Method): Method {
  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const maps: Tensor[] = [];
      for (const [i, layer] of layers.entries()) {
        const map = await method({ ...call, layer, progress: partOf(call.progress, i, layers.length) });
        maps.push(map);
        await settled(map);
        call.progress?.(i + 1, layers.length);
      }
      const size = [2, 3].map((axis) => Math.max(...maps.map(({ shape }) => at(shape, axis))));
      const [height = 1, width = 1] = size;
      const scaled = maps.map((map) => resize(unitScale(map), { size: [height, width], mode: 'bilinear' }));
      const sum = scaled.reduce((sum, map) => add(sum, map));
      return mul(sum, scalar(deviceOf(sum), 1 / layers.length, scope));
    });
}

/** Divided by the largest magnitude of each image; maps that are zero stay so. */
function unitScale(maps: Tensor): Tensor {
  const largest = max(abs(maps), [1, 2, 3], true);
  return where(largest, div(maps, largest), scalar(deviceOf(maps), 0, maps.scope));
}

import { loadModel, type Model } from '../../src/nn/model.ts';
import { architecture } from '../../src/nn/models/registry.ts';
import { serializeSafetensors } from '../../src/nn/weights/safetensors.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';

/** Numbers between -1 and 1: Marsaglia's xorshift of 32 bits. */
export function uniform(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 2 ** 31;
  };
}

export function randomArray(seed: number, shape: Shape): Float32Array {
  const random = uniform(seed);
  return Float32Array.from({ length: sizeOf(shape) }, random);
}

/** A model whose weights are random but keep activations near unit scale (He et al. 2015, arXiv:1502.01852). */
export function randomModel(name = 'resnet20-cifar10', seed = 1): Model {
  const { build, labels } = architecture(name);
  const random = uniform(seed);
  const arrays = [...build(labels.length).stateShapes()].map(([key, shape]) => {
    const [centre, spread] = distributionOf(key, shape);
    return [
      key,
      { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => centre + spread * random()) },
    ] as const;
  });
  return loadModel(name, serializeSafetensors(arrays), { file: 'random weights' });
}

/** Centre and half-width. A vector called `weight` is the scale of a batch norm. */
function distributionOf(key: string, shape: Shape): [centre: number, spread: number] {
  if (shape.length > 1) return [0, Math.sqrt(6 / sizeOf(shape.slice(1)))];
  return /\.(weight|running_var)$/.test(key) ? [1, 0.3] : [0, 0.3];
}

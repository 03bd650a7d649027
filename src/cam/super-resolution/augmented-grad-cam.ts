import { UsageError } from '../../errors.ts';
import { deviceOf, tensor } from '../../kernels/index.ts';
import { uniform } from '../../random.ts';
import { Scope } from '../../tensor/scope.ts';
import { at, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { weightedChannels } from '../activation/at-layer.ts';
import { gradCamWeights } from '../activation/channel-weights.ts';
import { type Method, type MethodCall, throwIfAborted } from '../method.ts';
import { requireCount } from '../options.ts';
import { inScopeOfInput, partOf, pause } from '../passes.ts';
import { solve, type Views } from './solve.ts';
import { apply, blockMeans, type Motion, motionMatrix } from './warp.ts';

export interface AugmentedGradCamOptions {
  /** Moved copies of each image, the first of which stands still; 32 when left out, 100 in the paper. */
  readonly samples?: number;
  /** How many times finer than the layer the map is along each side; 8 when left out. */
  readonly factor?: number;
  /** The largest turn of a copy, in degrees; 15 when left out. */
  readonly angle?: number;
  /** The largest shift of a copy, as a fraction of the side; 0.1 when left out. */
  readonly shift?: number;
  /** Of the motions. */
  readonly seed?: number;
  /** Steps of gradient descent; 100 when left out. */
  readonly steps?: number;
}

/** Weights of the total variation and of the squared norm. */
const REGULARISATION = { smoothness: 0.01, damping: 0.01 };
const grad = weightedChannels(gradCamWeights);

/**
 * Augmented Grad-CAM (Morbidelli et al. 2020, doi:10.1109/ICASSP40776.2020.9054416, equation 5): a map h finer than the layer,
 * from the Grad-CAM maps g[l] of copies of the image that are turned and shifted by A[l]. With D, which averages the pixels
 * of h within one pixel of the layer, h has the least
 * 1/2 sum over l of ||D A[l] h - g[l]||^2 + lambda TV(h) + mu/2 ||h||^2, found by gradient descent.
 *
 * The maps g[l] keep their sign here; the paper takes them after the ReLU of Grad-CAM. What a motion brings in from outside of
 * the image is 0, the mean colour. All images of a batch get the same motions, so that a batch is single runs.
 * @returns [N,K,factor I,factor J], signed
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function augmentedGradCam(options: AugmentedGradCamOptions = {}): Method {
  const { samples = 32, factor = 8, angle = 15, shift = 0.1, seed = 1, steps = 100 } = options;
  for (const [name, value] of Object.entries({ samples, factor, steps })) requireCount(name, value);
  if (!(angle >= 0 && angle <= 180)) throw new UsageError(`angle ${angle} is out of range; use 0 to 180 degrees`);
  if (!(shift >= 0 && shift < 1)) throw new UsageError(`shift ${shift} is out of range; use a fraction below 1`);

  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const random = uniform(seed);
      const within = (most: number) => most * (2 * random() - 1);
      const motions = Array.from({ length: samples }, (_, i): Motion => {
        if (i === 0) return { angle: 0, right: 0, down: 0 };
        return { angle: within((angle * Math.PI) / 180), right: within(shift), down: within(shift) };
      });
      const maps = await mapsOfCopies({ ...call, progress: partOf(call.progress, 0, 2) }, motions);
      const [N = 1, K = 1, I = 1, J = 1] = maps.shape;
      const solving = partOf(call.progress, 1, 2);
      const [height, width] = [I * factor, J * factor];
      const matrices = motions.map((motion) => blockMeans(motionMatrix(height, width, motion), height, width, factor));
      const fine = new Float32Array(N * K * height * width);
      for (let map = 0; map < N * K; map++) {
        const observed = maps.values.map((copy) => copy.subarray(map * I * J, (map + 1) * I * J));
        fine.set(await solved({ height, width, matrices, observed }, steps, call), map * height * width);
        solving?.(map + 1, N * K);
      }
      return tensor(deviceOf(call.input), fine, [N, K, height, width], { scope });
    });
}

/** Grad-CAM of each moved copy of the images, on the host. */
async function mapsOfCopies(call: MethodCall, motions: readonly Motion[]) {
  const { input } = call;
  const images = Float32Array.from(await input.data());
  const values: Float32Array[] = [];
  let shape: readonly number[] = [];
  for (const [i, motion] of motions.entries()) {
    using scope = new Scope(input.scope);
    const copy = tensor(deviceOf(input), moved(images, input, motion), input.shape, { scope });
    const maps = await grad({ ...call, input: copy, observed: undefined, progress: undefined });
    shape = maps.shape;
    values.push(Float32Array.from(await maps.data()));
    call.progress?.(i + 1, motions.length);
    await pause();
  }
  return { values, shape };
}

function moved(images: Float32Array, { shape }: Tensor, motion: Motion): Float32Array {
  const [height, width] = [at(shape, 2), at(shape, 3)];
  const matrix = motionMatrix(height, width, motion);
  const result = new Float32Array(sizeOf(shape));
  const plane = height * width;
  for (let start = 0; start < result.length; start += plane) {
    result.set(apply(matrix, images.subarray(start, start + plane)), start);
  }
  return result;
}

async function solved(views: Views, steps: number, call: MethodCall): Promise<Float64Array> {
  const descent = solve(views, REGULARISATION);
  let h = descent.next().value;
  for (let step = 1; step < steps; step++) {
    throwIfAborted(call);
    h = descent.next().value;
    await pause();
  }
  return h;
}

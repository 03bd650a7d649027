import { UsageError } from '../../errors.ts';
import { avgPool2d, deviceOf, mul, pad, reshape, resize, slice, tensor } from '../../kernels/index.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Method, MethodCall } from '../method.ts';
import { requireCount } from '../options.ts';
import { atLayer, combine } from './at-layer.ts';

/** A part of the prepared image, in its pixels. */
export interface Region {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface SegXResCamOptions {
  /** The part of the image that is the target; all of it when left out. */
  readonly region?: Region;
  /** Side of the windows over which gradients are averaged, in pixels of the layer; 1, which is none, when left out. */
  readonly pool?: number;
}

/**
 * Seg-XRes-CAM (Hasany, Petitjean and Meriaudeau 2023, CVPR workshop XAI4CV, section 3): HiResCAM for the scores of a
 * region. The score is the sum of the class scores over the region M, y[M,k] = sum over (i,j) in M of y[k,i,j], and its
 * gradients are averaged over windows before they meet the activations: M[k] = sum over c of Up(Pool(d y[M,k] / d a[c])) a[c].
 *
 * The paper explains segmentation. A classifier with global average pooling has class scores of pixels as well, those
 * that it averages: y[M,k] is the part of the logit that comes from the region of the last feature map, and a pixel of that
 * map counts as far as the region covers it. With all of the image and without windows this is HiResCAM. The authors' code
 * takes the maximum or the mean of each window; here it is the mean.
 * @returns [N,K,I,J], signed
 * @throws UsageError for a region outside of the image, or windows of no size
 */
export function segXResCam({ region, pool = 1 }: SegXResCamOptions = {}): Method {
  requireCount('pool', pool);
  return async (call) => {
    const [, , H = 0, W = 0] = call.input.shape;
    const target = region ?? { x: 0, y: 0, width: W, height: H };
    requireInside(target, call);
    // The classes are linear in the last feature map: the derivatives of what comes from the region are those within it.
    const onlyRegion = (gradients: Tensor) => mul(gradients, coverage(target, [H, W], gradients));
    return atLayer(call, ({ activations, gradients }) => combine(pooled(gradients(onlyRegion), pool), activations));
  };
}

function requireInside({ x, y, width, height }: Region, { input }: MethodCall): void {
  const [, , H = 0, W = 0] = input.shape;
  const inside = x >= 0 && y >= 0 && width > 0 && height > 0 && x + width <= W && y + height <= H;
  if (!inside) {
    throw new UsageError(
      `region ${[x, y, width, height].join(',')} is not inside of the image that the network sees; use x,y,width,height within ${W} x ${H} pixels`,
    );
  }
}

/** For each pixel of feature maps [...,I,J] of the image, how much of it is in the region: [I,J]. */
function coverage({ x, y, width, height }: Region, [H, W]: readonly [number, number], features: Tensor): Tensor {
  const [I, J] = [at(features.shape, features.rank - 2), at(features.shape, features.rank - 1)];
  const rows = overlaps(I, H / I, y, y + height);
  const columns = overlaps(J, W / J, x, x + width);
  const values = Float32Array.from(rows.flatMap((row) => columns.map((column) => row * column)));
  return tensor(deviceOf(features), values, [I, J], { scope: features.scope });
}

/** The share of each of `count` intervals of a length that lies between start and end. */
function overlaps(count: number, length: number, start: number, end: number): number[] {
  return Array.from({ length: count }, (_, i) => {
    const overlap = Math.min((i + 1) * length, end) - Math.max(i * length, start);
    return Math.max(0, overlap) / length;
  });
}

/** The mean over windows of size x size pixels, at each pixel of the window; beyond the border there are zeros. */
function pooled(gradients: Tensor, size: number): Tensor {
  if (size === 1) return gradients;
  const [N = 1, K = 1, C = 1, I = 1, J = 1] = gradients.shape;
  const missing = (length: number) => Math.ceil(length / size) * size - length;
  const padded = pad(reshape(gradients, [N * K, C, I, J]), [0, 0, 0, 0], [0, 0, missing(I), missing(J)]);
  const means = avgPool2d(padded, { kernel: size, stride: size });
  const [height, width] = [I + missing(I), J + missing(J)];
  const spread = resize(means, { size: [height, width], mode: 'nearest' });
  return reshape(slice(spread, [0, 0, 0, 0], [N * K, C, I, J]), [N, K, C, I, J]);
}

import { conv2d, deviceOf, expand, full, mean, reshape, tensor } from '../kernels/index.ts';
import { tidy } from '../tensor/scope.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Fill } from './settings.ts';

/**
 * The picture that takes the place of removed pixels.
 * @param image [N,C,H,W]
 * @returns [N,C,H,W]
 */
export function fillOf(image: Tensor, fill: Fill): Tensor {
  switch (fill) {
    case 'zero':
      return full(deviceOf(image), image.shape, 0, image.scope);
    case 'mean':
      return tidy([image], (x) => expand(mean(x, [2, 3], true), x.shape));
    case 'box-blur':
      return blur(image, boxKernel(image.shape[2] ?? 0));
    case 'gaussian-blur':
      return blur(image, GAUSSIAN);
  }
}

/** A fifth of the image's height, at least 9 pixels, made odd: equal weights. */
function boxKernel(height: number): number[] {
  const atLeast = Math.max(Math.floor(height / 5), 9);
  const size = atLeast % 2 === 0 ? atLeast + 1 : atLeast;
  return new Array(size).fill(1 / size);
}

const GAUSSIAN_SIZE = 11;
const GAUSSIAN_SIGMA = 5;
/** SciPy cuts a Gaussian at 4 sigma. */
const GAUSSIAN_RADIUS = 4 * GAUSSIAN_SIGMA;

/**
 * RISE makes its kernel by filtering a single 1 in the middle of 11 pixels with SciPy's Gaussian filter, which mirrors at the
 * borders: the tails beyond the 11 pixels are folded back in, and the weights sum to 1.
 */
const GAUSSIAN: readonly number[] = (() => {
  const weights = new Array<number>(GAUSSIAN_SIZE).fill(0);
  const middle = (GAUSSIAN_SIZE - 1) / 2;
  let total = 0;
  for (let distance = -GAUSSIAN_RADIUS; distance <= GAUSSIAN_RADIUS; distance++) {
    const weight = Math.exp(-(distance ** 2) / (2 * GAUSSIAN_SIGMA ** 2));
    const place = mirrored(middle + distance, GAUSSIAN_SIZE);
    weights[place] = (weights[place] ?? 0) + weight;
    total += weight;
  }
  return weights.map((weight) => weight / total);
})();

/** The position inside [0, size) that a position outside is a mirror image of; the border pixel comes twice. */
function mirrored(position: number, size: number): number {
  const period = 2 * size;
  const inPeriod = ((position % period) + period) % period;
  return inPeriod < size ? inPeriod : period - 1 - inPeriod;
}

/** Convolves rows and columns of every channel with a kernel of odd size; outside of the image is 0. */
function blur(image: Tensor, kernel: readonly number[]): Tensor {
  const size = kernel.length;
  const padding = (size - 1) / 2;
  return tidy([image], (x) => {
    const [N = 1, C = 1, H = 1, W = 1] = x.shape;
    const weight = tensor(deviceOf(x), kernel, [1, 1, size, 1], { scope: x.scope });
    const columns = conv2d(reshape(x, [N * C, 1, H, W]), weight, { padding: [padding, 0] });
    const both = conv2d(columns, reshape(weight, [1, 1, 1, size]), { padding: [0, padding] });
    return reshape(both, x.shape);
  });
}

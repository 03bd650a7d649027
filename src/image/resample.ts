import { type Rectangle, type RgbImage, requireSize } from './image.ts';

/** Resampling filters, as PIL names them. */
export type Filter = 'bilinear' | 'bicubic';

/** An interpolation kernel: zero at a distance of `support` source pixels and beyond. */
interface Kernel {
  readonly support: number;
  weight(distance: number): number;
}

const KERNELS: Readonly<Record<Filter, Kernel>> = {
  bilinear: { support: 1, weight: (distance) => Math.max(0, 1 - Math.abs(distance)) },
  bicubic: { support: 2, weight: cubic },
};

/** Keys' cubic convolution with a = -0.5, as PIL has it (OpenCV and PyTorch use -0.75). */
function cubic(distance: number): number {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** One output pixel along one axis: the weights of the source pixels from `start` on. */
interface Taps {
  readonly start: number;
  /** Fixed-point, with FRACTION_BITS bits of fraction. */
  readonly weights: Int32Array;
}

/** 32 bits, less 8 for the sample and 2 for the overshoot of the negative lobes. */
const FRACTION_BITS = 22;
const ROUNDING = 1 << (FRACTION_BITS - 1);

/**
 * Resizes to `width` x `height`, bit-exact with Pillow's `Image.resize` (libImaging/Resample.c) on 8-bit images: the
 * filter is widened by the reduction, so that it averages (antialiasing); weights are fixed-point; rows are resampled
 * first, and the result is rounded to 8 bits before columns are.
 *
 * Of the result only `window` is computed and returned, in pixels of the result; by default all of it.
 * @throws UsageError if a size is not a whole number of at least 1.
 */
export function resize(image: RgbImage, width: number, height: number, filter: Filter, window?: Rectangle): RgbImage {
  requireSize(width, 'width');
  requireSize(height, 'height');
  const { x, y, width: columns, height: rows } = window ?? { x: 0, y: 0, width, height };
  const vertical = filterTaps(image.height, height, y, rows, KERNELS[filter]);
  const horizontal = filterTaps(image.width, width, x, columns, KERNELS[filter]);
  const [top, bottom] = [vertical.at(0), vertical.at(-1)];
  const firstRow = top?.start ?? 0;
  const endRow = bottom ? bottom.start + bottom.weights.length : 0;
  return resampleColumns(resampleRows(image, horizontal, firstRow, endRow), vertical, firstRow);
}

/** The taps of output pixels `first` to `first + count - 1` where `inSize` source pixels become `outSize`. */
function filterTaps(inSize: number, outSize: number, first: number, count: number, kernel: Kernel): Taps[] {
  const scale = inSize / outSize;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  return Array.from({ length: count }, (_, i) => {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(inSize, Math.trunc(centre + support + 0.5));
    // A multiplication by the reciprocal, as Pillow's: a division may round differently.
    const weights = Float64Array.from({ length: end - start }, (_, j) =>
      kernel.weight((start + j - centre + 0.5) * (1 / stretch)),
    );
    return { start, weights: toFixedPoint(weights) };
  });
}

function toFixedPoint(weights: Float64Array): Int32Array {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return Int32Array.from(weights, (weight) => {
    const scaled = (weight / sum) * 2 ** FRACTION_BITS;
    return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  });
}

function resampleRows(image: RgbImage, taps: readonly Taps[], firstRow: number, endRow: number): RgbImage {
  const height = endRow - firstRow;
  const data = new Uint8Array(taps.length * height * 3);
  let to = 0;
  for (let y = firstRow; y < endRow; y++) {
    for (const { start, weights } of taps) {
      accumulate(image.data, (y * image.width + start) * 3, 3, weights, data, to);
      to += 3;
    }
  }
  return { width: taps.length, height, data };
}

function resampleColumns(image: RgbImage, taps: readonly Taps[], firstRow: number): RgbImage {
  const stride = image.width * 3;
  const data = new Uint8Array(taps.length * stride);
  let to = 0;
  for (const { start, weights } of taps) {
    for (let x = 0; x < stride; x += 3, to += 3) {
      accumulate(image.data, (start - firstRow) * stride + x, stride, weights, data, to);
    }
  }
  return { width: image.width, height: taps.length, data };
}

/** One output pixel: the weighted sum of the source pixels at `from`, `from + step`, ... */
function accumulate(
  source: Uint8Array,
  from: number,
  step: number,
  weights: Int32Array,
  target: Uint8Array,
  to: number,
): void {
  let [red, green, blue] = [ROUNDING, ROUNDING, ROUNDING];
  let at = from;
  for (let i = 0; i < weights.length; i++, at += step) {
    const weight = weights[i] ?? 0;
    red += (source[at] ?? 0) * weight;
    green += (source[at + 1] ?? 0) * weight;
    blue += (source[at + 2] ?? 0) * weight;
  }
  target[to] = clip8(red);
  target[to + 1] = clip8(green);
  target[to + 2] = clip8(blue);
}

function clip8(fixedPoint: number): number {
  return Math.min(255, Math.max(0, fixedPoint >> FRACTION_BITS));
}

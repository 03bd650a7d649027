import { UsageError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/layout.ts';
import { formatShape } from '../../tensor/shape.ts';
import type { Pair } from '../core/pair.ts';

export interface Pool2dAttributes {
  readonly mode: 'max' | 'average';
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  /** Of maxima only; [1, 1] for averages. */
  readonly dilation: Pair;
  /** Whether a last window that is only partly inside the padded input counts. */
  readonly ceilMode: boolean;
  /** Whether the divisor of an average counts the padding. */
  readonly countIncludePad: boolean;
}

export interface AdaptiveAvgPool2dAttributes {
  readonly size: Pair;
}

/** The sizes of a tensor [images, channels, height, width]; throws a UsageError for any other, or for empty images. */
export function imageDims({ shape }: TensorSpec): { images: number; channels: number; size: Pair } {
  const [images = 0, channels = 0, height = 0, width = 0] = shape;
  if (shape.length !== 4 || Math.min(channels, height, width) < 1) {
    throw new UsageError(
      `pooling wants images [N, C, H, W] that are not empty, not a tensor of shape ${formatShape(shape)}`,
    );
  }
  return { images, channels, size: [height, width] };
}

/** One window along one axis: the positions start, start + step, ... below end, all of them inside the input. */
export interface Window {
  readonly start: number;
  readonly end: number;
  readonly step: number;
  /** The factor of this axis in the divisor of an average. */
  readonly count: number;
}

/** The windows of the output's rows and those of its columns; a window of the image is a pair of them. */
export interface Windows {
  readonly rows: readonly Window[];
  readonly columns: readonly Window[];
}

/** One axis of the attributes. */
interface Axis {
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly dilation: number;
}

function bothAxes({ kernel, stride, padding, dilation }: Pool2dAttributes, input: Pair): { rows: Axis; columns: Axis } {
  const axis = (d: 0 | 1): Axis => ({
    size: input[d],
    kernel: kernel[d],
    stride: stride[d],
    padding: padding[d],
    dilation: dilation[d],
  });
  return { rows: axis(0), columns: axis(1) };
}

/**
 * Number of windows along each axis, by PyTorch's rule.
 * @param input height and width
 * @throws UsageError when the padding exceeds half the kernel, or no window fits
 */
export function pooledSize(attributes: Pool2dAttributes, input: Pair): Pair {
  const op = attributes.mode === 'max' ? 'maxPool2d' : 'avgPool2d';
  const { rows, columns } = bothAxes(attributes, input);
  const output = [pooledLength(rows, attributes.ceilMode), pooledLength(columns, attributes.ceilMode)] as const;
  for (const { padding, kernel } of [rows, columns]) {
    if (2 * padding > kernel) {
      throw new UsageError(
        `${op}: padding ${padding} is more than half of the kernel size ${kernel}; pad the input first`,
      );
    }
  }
  if (Math.min(...output) < 1) {
    const { kernel, padding } = attributes;
    throw new UsageError(
      `${op}: no window of ${kernel.join('x')} fits into an input of ${input.join('x')} with padding ${padding.join('x')}; use a smaller kernel`,
    );
  }
  return output;
}

function pooledLength({ size, kernel, stride, padding, dilation }: Axis, ceilMode: boolean): number {
  const travel = size + 2 * padding - dilation * (kernel - 1) - 1;
  if (!ceilMode) return Math.floor(travel / stride) + 1;
  const length = Math.ceil(travel / stride) + 1;
  // The last window must start inside the input or its left padding.
  return (length - 1) * stride >= size + padding ? length - 1 : length;
}

/** The windows of `pool2d` over an input of this height and width. */
export function pool2dWindows(attributes: Pool2dAttributes, input: Pair, output: Pair): Windows {
  const { rows, columns } = bothAxes(attributes, input);
  return {
    rows: stridedWindows(rows, output[0], attributes.countIncludePad),
    columns: stridedWindows(columns, output[1], attributes.countIncludePad),
  };
}

function stridedWindows(axis: Axis, length: number, countIncludePad: boolean): Window[] {
  const { size, kernel, stride, padding, dilation } = axis;
  return Array.from({ length }, (_, i) => {
    const origin = i * stride - padding;
    const limit = Math.min(origin + dilation * (kernel - 1) + 1, size + padding);
    const start = origin + Math.max(0, Math.ceil(-origin / dilation)) * dilation;
    const end = Math.min(limit, size);
    return { start, end, step: dilation, count: countIncludePad ? limit - origin : end - start };
  });
}

/** The windows of `adaptiveAvgPool2d`: they cover the input evenly and may overlap by one position. */
export function adaptiveWindows(input: Pair, output: Pair): Windows {
  return { rows: evenWindows(input[0], output[0]), columns: evenWindows(input[1], output[1]) };
}

function evenWindows(size: number, length: number): Window[] {
  return Array.from({ length }, (_, i) => {
    const start = Math.floor((i * size) / length);
    const end = Math.ceil(((i + 1) * size) / length);
    return { start, end, step: 1, count: end - start };
  });
}

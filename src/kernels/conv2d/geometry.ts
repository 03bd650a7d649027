import { UsageError } from '../../errors.ts';
import type { TensorSpec } from '../../tensor/layout.ts';
import { at, formatShape, type Shape } from '../../tensor/shape.ts';
import type { Pair } from '../core/pair.ts';

/** Sums of products, or where it can be had minimal filtering (see winograd.ts), or on WebGPU products of patches (see patches.wgsl.ts). */
export const ALGORITHMS = ['direct', 'winograd', 'patches'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** How the window of a convolution moves over its input. */
export interface ConvGeometry {
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
}

/** Positions of a window along one axis: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1. */
function convSize(size: number, kernel: number, stride: number, padding: number, dilation: number): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** The shape of conv2d(x, weight), after checking that the two fit. */
export function convShape(x: TensorSpec, weight: TensorSpec, geometry: ConvGeometry): [number, number, number, number] {
  const { stride, padding, dilation, groups } = geometry;
  if (x.shape.length !== 4) throw new UsageError(`conv2d: the input must be [N,C,H,W], not ${formatShape(x.shape)}`);
  if (weight.shape.length !== 4)
    throw new UsageError(`conv2d: the weight must be [out,in/groups,kh,kw], not ${formatShape(weight.shape)}`);
  if (!Number.isInteger(groups) || groups < 1) throw new UsageError(`conv2d: groups ${groups} must be 1 or more`);
  const [n, channels, h, w] = dims(x.shape);
  const [out, perGroup, kh, kw] = dims(weight.shape);
  if (channels !== perGroup * groups || out % groups !== 0) {
    throw new UsageError(
      `conv2d: a weight of ${formatShape(weight.shape)} with ${groups} groups wants ${perGroup * groups} input channels, but the input has ${channels}`,
    );
  }
  const oh = convSize(h, kh, stride[0], padding[0], dilation[0]);
  const ow = convSize(w, kw, stride[1], padding[1], dilation[1]);
  if (oh < 1 || ow < 1) {
    throw new UsageError(
      `conv2d: an input of ${h} x ${w} is smaller than the ${kh} x ${kw} kernel; use a larger image`,
    );
  }
  return [n, out, oh, ow];
}

export function dims(shape: Shape): [number, number, number, number] {
  return [at(shape, 0), at(shape, 1), at(shape, 2), at(shape, 3)];
}

/**
 * One core serves a convolution and its gradient with respect to the input. Both sum over taps and channels of a source:
 *
 *   y[n, p, g*columns + c] = sum over taps t, rows r of  source[n, at(p, t), g*rows + r] * w[t, r, c]
 *
 * Forward, `at` is p*stride - padding + t*dilation. For the input gradient the source is the cotangent, rows and columns
 * change places, and `at` is (p + padding - t*dilation) / stride, where that is a whole number.
 * Positions outside the source count as 0.
 */
export interface GatherShape {
  readonly transposed: boolean;
  readonly batch: number;
  readonly source: Pair;
  readonly target: Pair;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
  /** Source channels of a group, summed over. */
  readonly rows: number;
  /** Result channels of a group. */
  readonly columns: number;
}

/** With a weight in the layout of the TypeScript kernels. */
export interface GatherConvolution extends GatherShape {
  /** w[t, r, c] of group g is at t*tapStride + (g*rowOffset + r)*rowStride + g*columnOffset + c. */
  readonly tapStride: number;
  readonly rowStride: number;
  readonly rowOffset: number;
  readonly columnOffset: number;
}

/** The convolution itself, over a weight that lies in memory as [kh][kw][in/groups][out]. */
export function forwardGather(
  x: TensorSpec,
  weight: TensorSpec,
  y: TensorSpec,
  { stride, padding, dilation, groups }: ConvGeometry,
): GatherConvolution {
  const [batch, , h, w] = dims(x.shape);
  const [out, rows, kh, kw] = dims(weight.shape);
  const [, , oh, ow] = dims(y.shape);
  const columns = out / groups;
  return {
    transposed: false,
    stride,
    padding,
    dilation,
    groups,
    batch,
    source: [h, w],
    target: [oh, ow],
    kernel: [kh, kw],
    rows,
    columns,
    tapStride: rows * out,
    rowStride: out,
    rowOffset: 0,
    columnOffset: columns,
  };
}

/** The gradient with respect to the input, over a weight that lies in memory as [kh][kw][out][in/groups]. */
export function inputGradientGather(
  cotangent: TensorSpec,
  weight: TensorSpec,
  dx: TensorSpec,
  { stride, padding, dilation, groups }: ConvGeometry,
): GatherConvolution {
  const [batch, , oh, ow] = dims(cotangent.shape);
  const [out, columns, kh, kw] = dims(weight.shape);
  const [, , h, w] = dims(dx.shape);
  const rows = out / groups;
  return {
    transposed: true,
    stride,
    padding,
    dilation,
    groups,
    batch,
    source: [oh, ow],
    target: [h, w],
    kernel: [kh, kw],
    rows,
    columns,
    tapStride: out * columns,
    rowStride: columns,
    rowOffset: rows,
    columnOffset: 0,
  };
}

/** The sizes of a gradient with respect to the weight. */
export interface WeightGradientShape {
  /** Number of scores. */
  readonly k: number;
  readonly batch: number;
  readonly size: Pair;
  readonly target: Pair;
  readonly kernel: Pair;
  /** Input channels of a group. */
  readonly rows: number;
  readonly out: number;
}

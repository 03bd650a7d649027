import { CHANNELS_LAST, type TensorSpec } from '../../tensor/layout.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type Pair, pair } from '../core/pair.ts';
import { applySingle, type OpDefinition, type OutputSpec } from '../op.ts';
import { mean } from '../reduce/index.ts';
import { averagePool, averagePoolGradient, maxPool, maxPoolGradient } from './host.ts';
import { adaptiveGradientProgram, poolProgram } from './pool.wgsl.ts';
import { averagePoolGradientWasm, maxPoolGradientWasm, poolWasm } from './wasm.ts';
import {
  type AdaptiveAvgPool2dAttributes,
  adaptiveWindows,
  imageDims,
  type Pool2dAttributes,
  pool2dWindows,
  pooledSize,
  type Windows,
} from './windows.ts';

export type { AdaptiveAvgPool2dAttributes, Pool2dAttributes } from './windows.ts';

/** Each image for itself. */
const IMAGES = { dense: true, ways: () => [{ inputs: [0], outputs: [0] }] } as const;

/** Of K N images of the cotangent and N of x, those of each score, and then each for itself. */
const SCORES_AND_IMAGES = {
  dense: true,
  ways({ inputs: [dy, x] }: { readonly inputs: readonly TensorSpec[] }) {
    const [images = 0, unit = 0] = [dy?.shape[0], x?.shape[0]];
    return images > unit ? [{ inputs: [0], outputs: [0], unit }] : [{ inputs: [0, 0], outputs: [0] }];
  },
} as const;

/** y[n, c, i, j] = the maximum or the average of x[n, c] over window (i, j). */
export const pool2dDefinition: OpDefinition<Pool2dAttributes> = {
  name: 'pool2d',

  outputs: ([x], attributes) => (x ? [pooled(x, pooledSize(attributes, imageDims(x).size))] : []),

  layouts: () => [CHANNELS_LAST],

  host({ inputs: [x], outputs: [y], attributes }) {
    if (!x || !y) return;
    const pool = attributes.mode === 'max' ? maxPool : averagePool;
    pool(x, y, windowsBetween(x, y, attributes));
  },

  wasm({ inputs: [x], outputs: [y], attributes, ...engine }) {
    if (!x || !y) return false;
    const kernel = attributes.mode === 'max' ? 'maxPool' : 'averagePool';
    return poolWasm(kernel, x, y, windowsBetween(x, y, attributes), engine);
  },

  webgpu({ inputs: [x], outputs: [y], attributes }) {
    return x && y ? [poolProgram(attributes.mode, attributes, x, y, y)] : [];
  },

  ...IMAGES,
};

/**
 * The derivatives with respect to x of `pool2d`: inputs are the cotangent dy [K N, C, oh, ow] of K scores and
 * x [N, C, H, W], the result is [K N, C, H, W]. Of x, an average needs only the shape.
 */
export const pool2dGradientDefinition: OpDefinition<Pool2dAttributes> = {
  name: 'pool2dGradient',

  outputs: ([dy, x]) => (dy && x ? [inputGradient(dy, x)] : []),

  layouts: (_, { mode }) => [CHANNELS_LAST, mode === 'max' ? CHANNELS_LAST : undefined],

  host({ inputs: [dy, x], outputs: [dx], attributes }) {
    if (!dy || !x || !dx) return;
    const windows = windowsBetween(x, dy, attributes);
    if (attributes.mode === 'max') maxPoolGradient(dy, x, dx, windows);
    else averagePoolGradient(dy, dx, windows);
  },

  wasm({ inputs: [dy, x], outputs: [dx], attributes, ...engine }) {
    if (!dy || !x || !dx) return false;
    const windows = windowsBetween(x, dy, attributes);
    return attributes.mode === 'max'
      ? maxPoolGradientWasm(dy, x, dx, windows, engine)
      : averagePoolGradientWasm(dy, dx, windows, engine);
  },

  webgpu({ inputs: [dy, x], outputs: [dx], attributes }) {
    return dy && x && dx ? [poolProgram(`${attributes.mode}Gradient`, attributes, x, dy, dx)] : [];
  },

  ...SCORES_AND_IMAGES,
};

/** y[n, c, i, j] = the average of x[n, c] over rows floor(i H / h) to ceil((i + 1) H / h) and columns alike. */
export const adaptiveAvgPool2dDefinition: OpDefinition<AdaptiveAvgPool2dAttributes> = {
  name: 'adaptiveAvgPool2d',

  outputs: ([x], { size }) => (x ? [pooled(x, size)] : []),

  layouts: () => [CHANNELS_LAST],

  host({ inputs: [x], outputs: [y] }) {
    if (x && y) averagePool(x, y, adaptiveWindows(imageDims(x).size, imageDims(y).size));
  },

  wasm({ inputs: [x], outputs: [y], ...engine }) {
    if (!x || !y) return false;
    return poolWasm('averagePool', x, y, adaptiveWindows(imageDims(x).size, imageDims(y).size), engine);
  },

  webgpu({ inputs: [x], outputs: [y] }) {
    return x && y ? [poolProgram('adaptive', undefined, x, y, y)] : [];
  },

  ...IMAGES,
};

/** The derivatives with respect to x of `adaptiveAvgPool2d`, as in `pool2dGradientDefinition`. */
export const adaptiveAvgPool2dGradientDefinition: OpDefinition<AdaptiveAvgPool2dAttributes> = {
  name: 'adaptiveAvgPool2dGradient',

  outputs: ([dy, x]) => (dy && x ? [inputGradient(dy, x)] : []),

  layouts: () => [CHANNELS_LAST, undefined],

  host({ inputs: [dy, x], outputs: [dx] }) {
    if (dy && x && dx) averagePoolGradient(dy, dx, adaptiveWindows(imageDims(x).size, imageDims(dy).size));
  },

  wasm({ inputs: [dy, x], outputs: [dx], ...engine }) {
    if (!dy || !x || !dx) return false;
    return averagePoolGradientWasm(dy, dx, adaptiveWindows(imageDims(x).size, imageDims(dy).size), engine);
  },

  webgpu({ inputs: [dy, x], outputs: [dx] }) {
    return dy && x && dx ? [adaptiveGradientProgram(x, dy, dx)] : [];
  },

  ...SCORES_AND_IMAGES,
};

function pooled(x: TensorSpec, size: Pair): OutputSpec {
  const { images, channels } = imageDims(x);
  return { shape: [images, channels, ...size], order: CHANNELS_LAST };
}

function inputGradient(dy: TensorSpec, x: TensorSpec): OutputSpec {
  return pooled(dy, imageDims(x).size);
}

function windowsBetween(x: TensorSpec, y: TensorSpec, attributes: Pool2dAttributes): Windows {
  return pool2dWindows(attributes, imageDims(x).size, imageDims(y).size);
}

/** All sizes are [height, width], or one number for both. */
interface PoolOptions {
  readonly kernel: number | Pair;
  /** The kernel's size when left out. */
  readonly stride?: number | Pair;
  /** On each side, at most half of the kernel. */
  readonly padding?: number | Pair;
  /** Rounds the number of windows up, where the last one still starts inside the input or its left padding. */
  readonly ceilMode?: boolean;
}

export interface MaxPool2dOptions extends PoolOptions {
  /** Distance between the elements of a window. */
  readonly dilation?: number | Pair;
}

export interface AvgPool2dOptions extends PoolOptions {
  /** Whether the average counts the padding, as zeros; true when left out. */
  readonly countIncludePad?: boolean;
}

/**
 * The maximum of each window, as torch.nn.MaxPool2d: [N, C, H, W] -> [N, C, h, w].
 *
 * Padding counts as -inf, so a dilated window that lies in the padding altogether gives -inf and has no gradient. A
 * window that has a NaN gives NaN. The gradient goes to the first maximum in row-major order, or to the last NaN.
 * @throws UsageError when a size is out of range or no window fits
 */
export function maxPool2d(x: Tensor, options: MaxPool2dOptions): Tensor {
  const attributes = { ...commonAttributes(options), mode: 'max', countIncludePad: false } as const;
  return applySingle(pool2dDefinition, [x], { ...attributes, dilation: pair(options.dilation ?? 1, 'dilation', 1) });
}

/**
 * The average of each window, as torch.nn.AvgPool2d: [N, C, H, W] -> [N, C, h, w].
 *
 * The divisor is the number of elements of the window inside the padded input, or, without `countIncludePad`, inside
 * the input; what `ceilMode` adds beyond the padding never counts.
 * @throws UsageError when a size is out of range or no window fits
 */
export function avgPool2d(x: Tensor, options: AvgPool2dOptions): Tensor {
  const attributes = { ...commonAttributes(options), mode: 'average', dilation: [1, 1] } as const;
  return applySingle(pool2dDefinition, [x], { ...attributes, countIncludePad: options.countIncludePad ?? true });
}

function commonAttributes({ kernel, stride = kernel, padding = 0, ceilMode = false }: PoolOptions) {
  return {
    kernel: pair(kernel, 'kernel', 1),
    stride: pair(stride, 'stride', 1),
    padding: pair(padding, 'padding', 0),
    ceilMode,
  };
}

/**
 * Averages over windows that divide the image evenly into `size`, as torch.nn.AdaptiveAvgPool2d:
 * [N, C, H, W] -> [N, C, h, w], also for h > H.
 */
export function adaptiveAvgPool2d(x: Tensor, size: number | Pair): Tensor {
  return applySingle(adaptiveAvgPool2dDefinition, [x], { size: pair(size, 'size', 1) });
}

/** The average of each channel of each image: [N, C, H, W] -> [N, C]. */
export function globalAvgPool2d(x: Tensor): Tensor {
  imageDims(x);
  return mean(x, [2, 3]);
}

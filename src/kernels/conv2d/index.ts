import { UsageError } from '../../errors.ts';
import { type AxisOrder, CHANNELS_LAST, type TensorSpec } from '../../tensor/layout.ts';
import { at, formatShape, sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type Pair, pair } from '../core/pair.ts';
import type { Device } from '../device.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import {
  type Algorithm,
  type ConvGeometry,
  convShape,
  dims,
  forwardGather,
  inputGradientGather,
  type WeightGradientShape,
} from './geometry.ts';
import { gatherConvolution, weightGradient } from './host.ts';
import { gatherConvolutionWasm } from './wasm.ts';
import { weightGradientWasm } from './weight-gradient.ts';
import { gatherConvolutionWgsl, weightGradientPrograms } from './wgsl.ts';

/** [K,N,C,H,W] with the channels innermost. */
const BATCHED_CHANNELS_LAST: AxisOrder = [0, 1, 3, 4, 2];

/** Orders of the axes [out, in/groups, kh, kw] of a weight in memory. */
interface WeightOrders {
  readonly typescript: AxisOrder;
  /** What is summed over is innermost. */
  readonly wgsl: AxisOrder;
}

const WEIGHT_ORDERS: WeightOrders = { typescript: [2, 3, 1, 0], wgsl: [0, 2, 3, 1] };
const TRANSPOSED_WEIGHT_ORDERS: WeightOrders = { typescript: [2, 3, 0, 1], wgsl: [1, 2, 3, 0] };
/** Both are the same here: input channels of a group are one. */
const DEPTHWISE_WEIGHT_ORDER: AxisOrder = [2, 3, 1, 0];

/** The order that a device's kernels read a weight in; none where they bring it into a layout of their own. */
function weightOrder(
  { typescript, wgsl }: WeightOrders,
  [, weight]: readonly TensorSpec[],
  groups: number,
  { kind, prepacks }: Pick<Device, 'kind' | 'prepacks'>,
): AxisOrder | undefined {
  const [out, rows] = weight?.shape ?? [];
  if (out === groups && rows === 1) return DEPTHWISE_WEIGHT_ORDER;
  if (prepacks) return undefined;
  return kind === 'webgpu' ? wgsl : typescript;
}

export interface Conv2dAttributes extends ConvGeometry {
  readonly bias: boolean;
  readonly residual: boolean;
  readonly activation: 'none' | 'relu';
  /** How it is computed, but by the TypeScript kernels; by device and sizes when left out. Tests ask for either. */
  readonly algorithm?: Algorithm;
}

/** y = activation(conv(x, weight) + bias + residual); inputs x, weight and, as the attributes say, bias and residual. */
export const conv2dDefinition: OpDefinition<Conv2dAttributes> = {
  name: 'conv2d',

  outputs(inputs, attributes) {
    const { weight, bias, residual } = operands(inputs, attributes);
    const shape = convShape(at(inputs, 0), weight, attributes);
    if (bias && !sameShape(bias.shape, [shape[1]])) {
      throw new UsageError(`conv2d: the bias must be [${shape[1]}], not ${formatShape(bias.shape)}`);
    }
    if (residual && !sameShape(residual.shape, shape)) {
      throw new UsageError(
        `conv2d: the residual is ${formatShape(residual.shape)}, but the result is ${formatShape(shape)}`,
      );
    }
    return [{ shape, order: CHANNELS_LAST }];
  },

  layouts: (inputs, { bias, residual, groups }, device) => [
    CHANNELS_LAST,
    weightOrder(WEIGHT_ORDERS, inputs, groups, device),
    ...(bias ? [[0]] : []),
    ...(residual ? [CHANNELS_LAST] : []),
  ],

  host({ inputs, outputs: [y], attributes }) {
    if (!y) return;
    const { x, weight, bias, residual } = operands(inputs, attributes);
    gatherConvolution(forwardGather(x, weight, y, attributes), x.data, weight.data, y.data, {
      bias: bias?.data,
      residual: residual?.data,
      relu: attributes.activation === 'relu',
    });
  },

  wasm({ inputs, outputs: [y], attributes, ...call }) {
    if (!y) return false;
    const { x, weight, bias, residual } = operands(inputs, attributes);
    const relu = attributes.activation === 'relu';
    const conv = forwardGather(x, weight, y, attributes);
    gatherConvolutionWasm(conv, { source: x, weight, y, bias, residual, relu }, call, attributes.algorithm);
    return true;
  },

  webgpu({ inputs, outputs: [y], attributes, target }) {
    if (!y) return [];
    const { x, weight } = operands(inputs, attributes);
    const { bias, residual, activation } = attributes;
    const conv = forwardGather(x, weight, y, attributes);
    return gatherConvolutionWgsl(
      conv,
      weight,
      { bias, residual, relu: activation === 'relu' },
      target,
      attributes.algorithm,
    );
  },

  dense: true,
  ways: ({ attributes: { bias, residual } }) => [
    { inputs: [0, undefined, ...(bias ? [undefined] : []), ...(residual ? [0] : [])], outputs: [0] },
  ],
};

/** The inputs by name: the optional ones follow in a fixed order. */
function operands<T extends TensorSpec>(
  inputs: readonly T[],
  attributes: { readonly bias: boolean; readonly residual: boolean },
) {
  const [x, weight, ...optional] = inputs;
  if (!x || !weight) throw new RangeError('conv2d has an input and a weight');
  const bias = attributes.bias ? optional[0] : undefined;
  const residual = attributes.residual ? optional[attributes.bias ? 1 : 0] : undefined;
  return { x, weight, bias, residual };
}

export interface InputGradientAttributes extends ConvGeometry {
  /** Height and width of the convolution's input. */
  readonly size: Pair;
  /** As in `Conv2dAttributes`. */
  readonly algorithm?: Algorithm;
}

/** The gradient of a convolution with respect to its input: inputs are the cotangent [N,out,oh,ow] and the weight. */
export const conv2dInputGradientDefinition: OpDefinition<InputGradientAttributes> = {
  name: 'conv2dInputGradient',

  outputs([cotangent, weight], { size, groups }) {
    if (!cotangent || !weight) return [];
    return [{ shape: [at(cotangent.shape, 0), at(weight.shape, 1) * groups, ...size], order: CHANNELS_LAST }];
  },

  layouts: (inputs, { groups }, device) => [
    CHANNELS_LAST,
    weightOrder(TRANSPOSED_WEIGHT_ORDERS, inputs, groups, device),
  ],

  host({ inputs: [cotangent, weight], outputs: [dx], attributes }) {
    if (!cotangent || !weight || !dx) return;
    const conv = inputGradientGather(cotangent, weight, dx, attributes);
    gatherConvolution(conv, cotangent.data, weight.data, dx.data, { relu: false });
  },

  wasm({ inputs: [cotangent, weight], outputs: [dx], attributes, ...call }) {
    if (!cotangent || !weight || !dx) return false;
    const conv = inputGradientGather(cotangent, weight, dx, attributes);
    gatherConvolutionWasm(conv, { source: cotangent, weight, y: dx, relu: false }, call, attributes.algorithm);
    return true;
  },

  webgpu({ inputs: [cotangent, weight], outputs: [dx], attributes, target }) {
    if (!cotangent || !weight || !dx) return [];
    const conv = inputGradientGather(cotangent, weight, dx, attributes);
    return gatherConvolutionWgsl(
      conv,
      weight,
      { bias: false, residual: false, relu: false },
      target,
      attributes.algorithm,
    );
  },

  dense: true,
  ways: () => [{ inputs: [0], outputs: [0] }],
};

export interface WeightGradientAttributes extends ConvGeometry {
  /** Height and width of the kernel. */
  readonly kernel: Pair;
}

/** The gradients of K scores with respect to a convolution's weight: inputs are x [N,in,h,w] and the cotangent [K,N,out,oh,ow]. */
export const conv2dWeightGradientDefinition: OpDefinition<WeightGradientAttributes> = {
  name: 'conv2dWeightGradient',

  outputs([x, cotangent], { kernel, groups }) {
    if (!x || !cotangent) return [];
    const shape = [at(cotangent.shape, 0), at(cotangent.shape, 2), at(x.shape, 1) / groups, ...kernel];
    return [{ shape, order: [0, 3, 4, 2, 1] }];
  },

  layouts: () => [CHANNELS_LAST, BATCHED_CHANNELS_LAST],

  host({ inputs: [x, cotangent], outputs: [dw], attributes }) {
    if (!x || !cotangent || !dw) return;
    weightGradient(weightGradientShape(x, cotangent, attributes), attributes, x.data, cotangent.data, dw.data);
  },

  wasm({ inputs: [x, cotangent], outputs: [dw], attributes, ...call }) {
    if (!x || !cotangent || !dw) return false;
    weightGradientWasm(weightGradientShape(x, cotangent, attributes), attributes, { x, cotangent, dw }, call);
    return true;
  },

  webgpu({ inputs: [x, cotangent], outputs: [dw], attributes, target }) {
    if (!x || !cotangent || !dw) return [];
    return weightGradientPrograms(weightGradientShape(x, cotangent, attributes), attributes, target);
  },

  dense: true,
  ways: () => [
    { inputs: [undefined, 0], outputs: [0] },
    { inputs: [0, 1], outputs: [undefined], combine: 'sum' },
  ],
};

function weightGradientShape(
  x: TensorSpec,
  cotangent: TensorSpec,
  { kernel, groups }: WeightGradientAttributes,
): WeightGradientShape {
  const [batch, channels, h, w] = dims(x.shape);
  const [k, , out, oh] = dims(cotangent.shape);
  const target: Pair = [oh, at(cotangent.shape, 4)];
  return { k, batch, size: [h, w], target, kernel, rows: channels / groups, out };
}

export interface Conv2dOptions {
  /** [out] */
  readonly bias?: Tensor | undefined;
  /** Added before the activation; the shape of the result. */
  readonly residual?: Tensor | undefined;
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
  readonly dilation?: number | Pair;
  readonly groups?: number;
  readonly activation?: 'none' | 'relu';
}

/**
 * The 2-D cross-correlation that deep learning calls convolution, as `torch.nn.functional.conv2d`, with what usually
 * follows it fused: activation(conv(x, weight) + bias + residual).
 *
 * @param x [N, in, H, W]
 * @param weight [out, in/groups, kh, kw]
 * @returns [N, out, oh, ow], channels-last in memory
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias, residual, stride = 1, padding = 0, dilation = 1, groups = 1, activation = 'none' } = options;
  const inputs = [x, weight, bias, residual].filter((input) => input !== undefined);
  return applySingle(conv2dDefinition, inputs, {
    stride: pair(stride, 'conv2d: stride', 1),
    padding: pair(padding, 'conv2d: padding', 0),
    dilation: pair(dilation, 'conv2d: dilation', 1),
    groups,
    activation,
    bias: bias !== undefined,
    residual: residual !== undefined,
  });
}

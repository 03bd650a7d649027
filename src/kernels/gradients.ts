import { assembleGradient } from './assemble/gradient.ts';
import { batchNormTrainingGradient } from './batch-norm/gradient.ts';
import { conv2dGradient } from './conv2d/gradient.ts';
import { copyGradient } from './copy/gradient.ts';
import type { GradientRule } from './gradient.ts';
import { matmulGradient } from './matmul/gradient.ts';
import type { AttributesOf, OpName } from './ops.ts';
import { pointwiseGradient } from './pointwise/gradient.ts';
import { adaptiveAvgPool2dGradient, pool2dGradient } from './pool/gradient.ts';
import { reduceGradient } from './reduce/gradient.ts';
import { interpolateAxisGradient } from './resize/gradient.ts';
import { softmaxGradient } from './softmax/gradient.ts';
import { topkGradient } from './topk/gradient.ts';
import { expandGradient, reshapeGradient, sliceGradient, transposeGradient } from './view/gradient.ts';

/** For ops without a derivative: those that return indices, and those that are gradients themselves. */
const none = () => [];

/** The gradient of every op; the compiler lists what a new op lacks. */
export const gradientRules: { readonly [Op in OpName]: GradientRule<AttributesOf<Op>> } = {
  adaptiveAvgPool2d: adaptiveAvgPool2dGradient,
  adaptiveAvgPool2dGradient: none,
  argmax: none,
  assemble: assembleGradient,
  batchNormTraining: batchNormTrainingGradient,
  conv2d: conv2dGradient,
  conv2dInputGradient: none,
  conv2dWeightGradient: none,
  copy: copyGradient,
  expand: expandGradient,
  interpolateAxis: interpolateAxisGradient,
  matmul: matmulGradient,
  pointwise: pointwiseGradient,
  pool2d: pool2dGradient,
  pool2dGradient: none,
  reduce: reduceGradient,
  reshape: reshapeGradient,
  slice: sliceGradient,
  softmax: softmaxGradient,
  topk: topkGradient,
  topkGradient: none,
  transpose: transposeGradient,
};

import { argmaxDefinition } from './argmax/index.ts';
import { assembleDefinition } from './assemble/index.ts';
import { batchNormTrainingDefinition } from './batch-norm/index.ts';
import { conv2dDefinition, conv2dInputGradientDefinition, conv2dWeightGradientDefinition } from './conv2d/index.ts';
import { copyDefinition } from './copy/index.ts';
import { matmulDefinition } from './matmul/index.ts';
import type { CompositeDefinition, OpDefinition, ViewDefinition } from './op.ts';
import { pointwiseDefinition } from './pointwise/index.ts';
import {
  adaptiveAvgPool2dDefinition,
  adaptiveAvgPool2dGradientDefinition,
  pool2dDefinition,
  pool2dGradientDefinition,
} from './pool/index.ts';
import { reduceDefinition } from './reduce/index.ts';
import { interpolateAxisDefinition } from './resize/index.ts';
import { softmaxDefinition } from './softmax/index.ts';
import { topkDefinition } from './topk/index.ts';
import { topkGradientDefinition } from './topk/scatter.ts';
import { expandDefinition, reshapeDefinition, sliceDefinition, transposeDefinition } from './view/index.ts';

/** Every op by its name: adding one is a folder, a line here, and the line in `gradients.ts` that the compiler asks for. */
export const ops = {
  adaptiveAvgPool2d: adaptiveAvgPool2dDefinition,
  adaptiveAvgPool2dGradient: adaptiveAvgPool2dGradientDefinition,
  argmax: argmaxDefinition,
  assemble: assembleDefinition,
  batchNormTraining: batchNormTrainingDefinition,
  conv2d: conv2dDefinition,
  conv2dInputGradient: conv2dInputGradientDefinition,
  conv2dWeightGradient: conv2dWeightGradientDefinition,
  copy: copyDefinition,
  expand: expandDefinition,
  interpolateAxis: interpolateAxisDefinition,
  matmul: matmulDefinition,
  pointwise: pointwiseDefinition,
  pool2d: pool2dDefinition,
  pool2dGradient: pool2dGradientDefinition,
  reduce: reduceDefinition,
  reshape: reshapeDefinition,
  slice: sliceDefinition,
  softmax: softmaxDefinition,
  topk: topkDefinition,
  topkGradient: topkGradientDefinition,
  transpose: transposeDefinition,
};

export type OpName = keyof typeof ops;

export type AttributesOf<Op extends OpName> =
  (typeof ops)[Op] extends OpDefinition<infer A>
    ? A
    : (typeof ops)[Op] extends ViewDefinition<infer A>
      ? A
      : (typeof ops)[Op] extends CompositeDefinition<infer A>
        ? A
        : never;

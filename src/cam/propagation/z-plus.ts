import { type BackwardRules, vjp } from '../../autograd/tape.ts';
import type { Conv2dAttributes } from '../../kernels/conv2d/index.ts';
import { type GradientRule, onlyCotangent } from '../../kernels/gradient.ts';
import { gradientRules } from '../../kernels/gradients.ts';
import { add, conv2d, deviceOf, div, matmul, mul, neg, relu, scalar, where } from '../../kernels/index.ts';
import type { MatmulAttributes } from '../../kernels/matmul/index.ts';
import { applySingle, type OpDefinition } from '../../kernels/op.ts';
import type { PointwiseName } from '../../kernels/pointwise/functions.ts';
import type { PointwiseAttributes } from '../../kernels/pointwise/index.ts';
import { adaptiveAvgPool2dDefinition, pool2dDefinition } from '../../kernels/pool/index.ts';
import { reduceDefinition } from '../../kernels/reduce/index.ts';
import { at, sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/* The z+ rule of layer-wise relevance propagation (see `lrp.ts`), op by op. The cotangents are relevance here. */

/**
 * Shares out the relevance R of z = f(parts), a sum of the parts without negative weights, in proportion to what each
 * part adds to it: part * (df / dpart)^T (R / z). Where z is 0 there is nothing to go by, and R is lost.
 * @param R [K, ...z]
 * @returns for each part [K, ...part]
 */
function shareOut(R: Tensor, parts: readonly Tensor[], f: (...parts: Tensor[]) => Tensor): Tensor[] {
  const zero = scalar(deviceOf(R), 0, R.scope);
  const { output, gradients } = vjp(f, parts, (z) => where(z, div(R, z), zero));
  output.dispose();
  return gradients.map((gradient, i) => mul(gradient, at(parts, i)));
}

/** The positive and the negative part of x, x = positive - negative. A product of two of a kind is positive. */
const bySign = (x: Tensor) => [relu(x), relu(neg(x))] as const;

/** The sum of a residual block is part of the convolution: the shortcut comes in with the weight 1. */
const conv2dRule: GradientRule<Conv2dAttributes> = (call) => {
  const { bias, residual, ...geometry } = call.attributes;
  const [x, weight, ...others] = call.inputs;
  if (!x || !weight) return [];
  const [excites, inhibits] = bySign(weight);
  const parts = [...bySign(x), ...(residual ? [relu(at(others, others.length - 1))] : [])];
  const [positive, negative, shortcut] = shareOut(onlyCotangent(call), parts, (positive, negative, shortcut) => {
    const sum = conv2d(positive, excites, { ...geometry, activation: 'none', residual: shortcut });
    return conv2d(negative, inhibits, { ...geometry, activation: 'none', residual: sum });
  });
  if (!positive || !negative) return [];
  return [
    () => add(positive, negative),
    undefined,
    ...(bias ? [undefined] : []),
    ...(shortcut ? [() => shortcut] : []),
  ];
};

const matmulRule: GradientRule<MatmulAttributes> = (call) => {
  const [x, weight] = call.inputs;
  if (!x || !weight) return [];
  const [excites, inhibits] = bySign(weight);
  const [positive, negative] = shareOut(onlyCotangent(call), bySign(x), (positive, negative) =>
    add(matmul(positive, excites), matmul(negative, inhibits)),
  );
  return positive && negative ? [() => add(positive, negative)] : [];
};

/** For ops that average. */
const averageRule =
  <Attributes>(definition: OpDefinition<Attributes>): GradientRule<Attributes> =>
  (call) => {
    const parts = [relu(at(call.inputs, 0))];
    const average = (x: Tensor) => applySingle(definition, [x], call.attributes);
    return [() => at(shareOut(onlyCotangent(call), parts, average), 0)];
  };

/** A batch norm in inference: each input scaled and shifted. */
export const isBatchNorm = (fn: PointwiseName) => fn === 'multiplyAdd' || fn === 'multiplyAddRelu';

const pointwiseRule: GradientRule<PointwiseAttributes> = (call) => {
  const { fn } = call.attributes;
  if (fn === 'add') return addRule(call);
  return isBatchNorm(fn) || fn === 'relu' ? [() => onlyCotangent(call)] : gradientRules.pointwise(call);
};

const addRule: GradientRule<PointwiseAttributes> = (call) => {
  const R = onlyCotangent(call);
  const isBias = ({ shape }: Tensor) => !sameShape(shape, R.shape.slice(1));
  if (call.inputs.some(isBias)) return call.inputs.map((input) => (isBias(input) ? undefined : () => R));
  return shareOut(R, call.inputs.map(relu), add).map((share) => () => share);
};

const meanRule = averageRule(reduceDefinition);
const averagePoolRule = averageRule(pool2dDefinition);

export const zPlusRules: BackwardRules = {
  ...gradientRules,
  adaptiveAvgPool2d: averageRule(adaptiveAvgPool2dDefinition),
  conv2d: conv2dRule,
  matmul: matmulRule,
  pointwise: pointwiseRule,
  pool2d: (call) => (call.attributes.mode === 'max' ? gradientRules.pool2d : averagePoolRule)(call),
  reduce: (call) => (call.attributes.fn === 'max' ? gradientRules.reduce : meanRule)(call),
};

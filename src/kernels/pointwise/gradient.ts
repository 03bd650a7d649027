import type { Tensor } from '../../tensor/tensor.ts';
import { scalar } from '../create.ts';
import { deviceOf } from '../device.ts';
import { type GradientRule, onlyCotangent } from '../gradient.ts';
import { sumTo } from '../reduce/index.ts';
import type { PointwiseName } from './functions.ts';
import { div, mul, neg, type PointwiseAttributes, pointwise, sub } from './index.ts';

/** For each argument of a function, `cotangent * d fn / d argument`, [K, ...y], before broadcasting is undone; undefined for none. */
type Derivatives = (call: {
  readonly cotangent: Tensor;
  readonly args: readonly [Tensor, Tensor, Tensor];
  readonly y: Tensor;
  readonly parameter: number | undefined;
}) => readonly ((() => Tensor) | undefined)[];

const derivatives: { readonly [Fn in PointwiseName]: Derivatives } = {
  add: ({ cotangent }) => [() => cotangent, () => cotangent],
  sub: ({ cotangent }) => [() => cotangent, () => neg(cotangent)],
  mul: ({ cotangent, args: [a, b] }) => [() => mul(cotangent, b), () => mul(cotangent, a)],
  div: ({ cotangent, args: [, b], y }) => [() => div(cotangent, b), () => neg(mul(cotangent, div(y, b)))],
  equal: () => [],
  where: ({ cotangent, args: [condition] }) => {
    const zero = () => scalar(deviceOf(condition), 0, condition.scope);
    return [
      undefined,
      () => pointwise('where', [condition, cotangent, zero()]),
      () => pointwise('where', [condition, zero(), cotangent]),
    ];
  },
  multiplyAdd: ({ cotangent, args: [a, b] }) => [() => mul(cotangent, b), () => mul(cotangent, a), () => cotangent],
  multiplyAddRelu: ({ cotangent, args: [a, b], y }) => {
    const passed = () => pointwise('reluGradient', [cotangent, y]);
    return [() => mul(passed(), b), () => mul(passed(), a), passed];
  },
  squaredDifference: ({ cotangent, args: [a, b] }) => {
    const twice = () => pointwise('timesDifference', [pointwise('add', [cotangent, cotangent]), a, b]);
    return [twice, () => neg(twice())];
  },
  timesDifference: ({ cotangent, args: [a, b, c] }) => [
    () => pointwise('timesDifference', [cotangent, b, c]),
    () => mul(cotangent, a),
    () => neg(mul(cotangent, a)),
  ],

  neg: ({ cotangent }) => [() => neg(cotangent)],
  abs: ({ cotangent, args: [a] }) => [() => mul(cotangent, pointwise('sign', [a]))],
  exp: ({ cotangent, y }) => [() => mul(cotangent, y)],
  log: ({ cotangent, args: [a] }) => [() => div(cotangent, a)],
  // d sqrt(a) = 1 / (2 y)
  sqrt: ({ cotangent, y }) => [() => div(cotangent, pointwise('add', [y, y]))],
  // d a^(-1/2) = -y / (2 a)
  rsqrt: ({ cotangent, args: [a], y }) => [() => neg(mul(cotangent, div(y, pointwise('add', [a, a]))))],
  relu: ({ cotangent, args: [a] }) => [() => pointwise('reluGradient', [cotangent, a])],
  step: () => [],
  reluGradient: ({ cotangent, args: [, b] }) => [() => pointwise('reluGradient', [cotangent, b]), undefined],
  sign: () => [],
  elu: ({ cotangent, args: [a], parameter }) => [() => mul(cotangent, pointwise('eluDerivative', [a], parameter))],
  gelu: ({ cotangent, args: [a] }) => [() => mul(cotangent, pointwise('geluDerivative', [a]))],
  // d sigmoid = y (1 - y) = y - y^2
  sigmoid: ({ cotangent, y }) => [() => mul(cotangent, sub(y, mul(y, y)))],
  eluDerivative: () => [],
  geluDerivative: () => [],
};

export const pointwiseGradient: GradientRule<PointwiseAttributes> = (call) => {
  const { inputs, outputs, attributes } = call;
  const [y] = outputs;
  const [a, b = a, c = a] = inputs;
  if (!y || !a || !b || !c) return [];
  const thunks = derivatives[attributes.fn]({
    cotangent: onlyCotangent(call),
    args: [a, b, c],
    y,
    parameter: attributes.parameter,
  });
  return inputs.map((input, i) => {
    const thunk = thunks[i];
    return thunk && (() => sumTo(thunk(), input.shape));
  });
};

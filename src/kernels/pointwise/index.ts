import { expandLayout } from '../../tensor/layout.ts';
import { at, broadcastShapes } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { addressing, addressingUniforms, iterate, iterationSpace } from '../core/iteration.ts';
import { nestOf, SMALL } from '../core/nest.ts';
import { elementwiseWays } from '../core/ways.ts';
import { floatField } from '../cpu/wasm/call.ts';
import { applySingle, elementwiseOrder, type OpDefinition } from '../op.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';
import { type PointwiseFunction, type PointwiseName, pointwiseFunctions } from './functions.ts';

export interface PointwiseAttributes {
  readonly fn: PointwiseName;
  /** What the function calls `p`, the alpha of ELU. */
  readonly parameter?: number;
}

/** Floats of a vector of WebAssembly, which has no kernels for shorter rows. */
const VECTOR = 4;

const ARGUMENTS = ['a', 'b', 'c'];

/** y = fn(a, b, c) element by element, the arguments broadcast against each other. */
export const pointwiseDefinition: OpDefinition<PointwiseAttributes> = {
  name: 'pointwise',

  outputs(inputs) {
    const shape = broadcastShapes(...inputs.map((input) => input.shape));
    return [{ shape, order: elementwiseOrder(inputs, shape) }];
  },

  host({ inputs, outputs: [y], attributes: { fn, parameter = 1 } }) {
    if (!y) return;
    const { host }: PointwiseFunction = pointwiseFunctions[fn];
    const space = iterationSpace([y, ...inputs.map((input) => expandLayout(input, y.shape))]);
    const [a, b, c] = inputs.map(({ data }) => data);
    iterate(space, (to, ia, ib, ic) => {
      y.data[to] = host(a?.[ia] ?? 0, b?.[ib] ?? 0, c?.[ic] ?? 0, parameter);
    });
  },

  wasm({ inputs, outputs: [y], attributes: { fn, parameter = 1 }, run, workspace }) {
    const [a, b = a, c = a] = inputs;
    if (!y || !a || !b || !c) return false;
    const space = iterationSpace([y, ...[a, b, c].map((input) => expandLayout(input, y.shape))]);
    if (space.count < SMALL || at(space.sizes, space.sizes.length - 1) < VECTOR) return false;
    const { nest, units } = nestOf(space, [y, a, b, c], workspace);
    run(fn, { ...nest, parameter: floatField(parameter) }, units);
    return true;
  },

  webgpu({ inputs, outputs: [y], attributes: { fn, parameter = 1 } }) {
    if (!y) return [];
    const { wgsl, helpers = '' }: PointwiseFunction = pointwiseFunctions[fn];
    const names = ARGUMENTS.slice(0, inputs.length);
    const operands = ['y', ...names.map((name) => `${name}_in`)];
    const space = iterationSpace([y, ...inputs.map((input) => expandLayout(input, y.shape))]);
    const body = () =>
      [
        addressing(space, operands),
        ...names.map((name) => `  let ${name} = ${name}_in[${name}_in_at];`),
        '  let p = u.parameter;',
        `  y[y_at] = ${wgsl};`,
      ].join('\n');
    return [
      {
        key: `pointwise/${fn}/${space.sizes.length}`,
        code: () => `${helpers}\n${linearMain('u.count', body())}`,
        bindings: [
          ...names.map((name, input) => ({ name: `${name}_in`, type: 'f32', operand: { input } })),
          { name: 'y', type: 'f32', operand: { output: 0 } },
        ],
        uniforms: [
          ['count', 'u32', space.count],
          ['parameter', 'f32', parameter],
          ...addressingUniforms(space, operands),
        ],
        workgroups: linearGrid(space.count),
      },
    ];
  },

  ways: ({ inputs, outputs: [y] }) => elementwiseWays(inputs, y),
};

/** Applies one of the functions of the table by its name. */
export function pointwise(fn: PointwiseName, inputs: readonly Tensor[], parameter?: number): Tensor {
  const { arity } = at([pointwiseFunctions[fn]], 0);
  if (inputs.length !== arity) throw new RangeError(`${fn} takes ${arity} tensors, not ${inputs.length}`);
  return applySingle(pointwiseDefinition, inputs, parameter === undefined ? { fn } : { fn, parameter });
}

/** a + b, broadcast. */
export const add = (a: Tensor, b: Tensor): Tensor => pointwise('add', [a, b]);
/** a - b, broadcast. */
export const sub = (a: Tensor, b: Tensor): Tensor => pointwise('sub', [a, b]);
/** a * b, broadcast. */
export const mul = (a: Tensor, b: Tensor): Tensor => pointwise('mul', [a, b]);
/** a / b, broadcast. */
export const div = (a: Tensor, b: Tensor): Tensor => pointwise('div', [a, b]);
/** 1 where a equals b, else 0; broadcast. No gradient flows through it. */
export const equal = (a: Tensor, b: Tensor): Tensor => pointwise('equal', [a, b]);
/** `a` where the condition is not 0, else `b`; broadcast. */
export const where = (condition: Tensor, a: Tensor, b: Tensor): Tensor => pointwise('where', [condition, a, b]);
/** a * b + c, broadcast. */
export const multiplyAdd = (a: Tensor, b: Tensor, c: Tensor): Tensor => pointwise('multiplyAdd', [a, b, c]);
/** relu(a * b + c), broadcast. */
export const multiplyAddRelu = (a: Tensor, b: Tensor, c: Tensor): Tensor => pointwise('multiplyAddRelu', [a, b, c]);
/** (a - b)^2, broadcast. */
export const squaredDifference = (a: Tensor, b: Tensor): Tensor => pointwise('squaredDifference', [a, b]);
/** a * (b - c), broadcast. */
export const timesDifference = (a: Tensor, b: Tensor, c: Tensor): Tensor => pointwise('timesDifference', [a, b, c]);

/** -x. */
export const neg = (x: Tensor): Tensor => pointwise('neg', [x]);
/** |x|. */
export const abs = (x: Tensor): Tensor => pointwise('abs', [x]);
/** e to the power of x. */
export const exp = (x: Tensor): Tensor => pointwise('exp', [x]);
/** The natural logarithm. */
export const log = (x: Tensor): Tensor => pointwise('log', [x]);
/** The square root. */
export const sqrt = (x: Tensor): Tensor => pointwise('sqrt', [x]);
/** 1 / sqrt(x). */
export const rsqrt = (x: Tensor): Tensor => pointwise('rsqrt', [x]);
/** max(x, 0). */
export const relu = (x: Tensor): Tensor => pointwise('relu', [x]);
/** x above 0, alpha (exp x - 1) below (Clevert et al. 2016). */
export const elu = (x: Tensor, alpha = 1): Tensor => pointwise('elu', [x], alpha);
/** x Phi(x) with the exact normal distribution function (Hendrycks and Gimpel 2016). */
export const gelu = (x: Tensor): Tensor => pointwise('gelu', [x]);
/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: Tensor): Tensor => pointwise('sigmoid', [x]);

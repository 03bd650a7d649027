import { physicalOrder } from '../../tensor/layout.ts';
import { at, normaliseAxis } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { addressing, addressingUniforms, iterate } from '../core/iteration.ts';
import { otherAxes } from '../core/ways.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { keptSpace } from '../reduce/loops.ts';
import { linesWasm } from '../reduce/wasm.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';

export interface SoftmaxAttributes {
  /** Counted from the front. */
  readonly axis: number;
  /** Whether the logarithm is wanted. */
  readonly log: boolean;
}

/** What the scratch memory of the WebAssembly kernel has room for, in double precision. */
const LONGEST = 30_000;

const OPERANDS = ['y', 'x'];

/**
 * y_i = exp(x_i - m) / s, or its logarithm x_i - m - log s, with m = max_j x_j and s = sum_j exp(x_j - m): no exponential
 * overflows, and s is at least 1. On WebGPU one thread does all of one line.
 */
export const softmaxDefinition: OpDefinition<SoftmaxAttributes> = {
  name: 'softmax',

  outputs: ([x]) => (x ? [{ shape: x.shape, order: physicalOrder(x) }] : []),

  host({ inputs: [x], outputs: [y], attributes: { axis, log } }) {
    if (!x || !y) return;
    const stride = at(x.strides, axis);
    const step = at(y.strides, axis);
    const exponents = new Float64Array(at(x.shape, axis));
    iterate(keptSpace([y], x, [axis]), (to, from) => {
      let maximum = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < exponents.length; i++) maximum = Math.max(maximum, x.data[from + i * stride] ?? 0);
      let total = 0;
      for (let i = 0; i < exponents.length; i++) {
        const exponent = (x.data[from + i * stride] ?? 0) - maximum;
        exponents[i] = exponent;
        total += Math.exp(exponent);
      }
      const logTotal = Math.log(total);
      for (let i = 0; i < exponents.length; i++) {
        const exponent = exponents[i] ?? 0;
        y.data[to + i * step] = log ? exponent - logTotal : Math.exp(exponent) / total;
      }
    });
  },

  wasm({ inputs: [x], outputs: [y], attributes: { axis, log }, ...engine }) {
    if (!x || !y || at(x.shape, axis) > LONGEST) return false;
    const more = { spaceY: 4 * at(y.strides, axis), log: Number(log) };
    return linesWasm('softmax', x, y, { axis, more }, engine);
  },

  webgpu({ inputs: [x], outputs: [y], attributes: { axis, log } }) {
    if (!x || !y) return [];
    const kept = keptSpace([y], x, [axis]);
    const body = `${addressing(kept, OPERANDS)}
  var maximum = x[x_at];
  for (var i = 1u; i < u.length; i++) { maximum = max(maximum, x[x_at + i * u.stride]); }
  var total = 0.0;
  for (var i = 0u; i < u.length; i++) { total += exp(x[x_at + i * u.stride] - maximum); }
  for (var i = 0u; i < u.length; i++) {
    let exponent = x[x_at + i * u.stride] - maximum;
    y[y_at + i * u.step] = ${log ? 'exponent - log(total)' : 'exp(exponent) / total'};
  }`;
    return [
      {
        key: `softmax/${log ? 'log' : 'plain'}/${kept.sizes.length}`,
        code: () => linearMain('u.count', body),
        bindings: [
          { name: 'x', type: 'f32', operand: { input: 0 } },
          { name: 'y', type: 'f32', operand: { output: 0 } },
        ],
        uniforms: [
          ['count', 'u32', kept.count],
          ...addressingUniforms(kept, OPERANDS),
          ['length', 'u32', at(x.shape, axis)],
          ['stride', 'u32', at(x.strides, axis)],
          ['step', 'u32', at(y.strides, axis)],
        ],
        workgroups: linearGrid(kept.count),
      },
    ];
  },

  ways: ({ inputs, outputs, attributes: { axis } }) => otherAxes(inputs, outputs, [axis]),
};

/** exp(x) / sum(exp(x)) along an axis. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return applySingle(softmaxDefinition, [x], { axis: normaliseAxis(axis, x.rank), log: false });
}

/** The logarithm of the softmax along an axis, exact where the softmax itself is too small for a float. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return applySingle(softmaxDefinition, [x], { axis: normaliseAxis(axis, x.rank), log: true });
}

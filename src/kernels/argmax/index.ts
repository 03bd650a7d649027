import { UsageError } from '../../errors.ts';
import { at, formatShape, normaliseAxis } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { addressing, addressingUniforms, iterate } from '../core/iteration.ts';
import { otherAxes } from '../core/ways.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { reducedOutput } from '../reduce/index.ts';
import { keptSpace } from '../reduce/loops.ts';
import { RANKS_ABOVE_WGSL, ranksAbove } from '../reduce/order.ts';
import { linesWasm } from '../reduce/wasm.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';

export interface ArgmaxAttributes {
  /** Counted from the front. */
  readonly axis: number;
  /** Whether the axis stays, with size 1. */
  readonly keepDims: boolean;
}

const OPERANDS = ['y', 'x'];

/** y = the position of the maximum of x along an axis. On WebGPU one thread finds each. */
export const argmaxDefinition: OpDefinition<ArgmaxAttributes> = {
  name: 'argmax',

  outputs: ([x], { axis, keepDims }) => (x ? [{ ...reducedOutput(x, [axis], keepDims), dtype: 'int32' }] : []),

  host({ inputs: [x], outputs: [y], attributes: { axis } }) {
    if (!x || !y) return;
    const length = at(x.shape, axis);
    const stride = at(x.strides, axis);
    iterate(keptSpace([y], x, [axis]), (to, from) => {
      let best = 0;
      let maximum = at(x.data, from);
      for (let i = 1; i < length; i++) {
        const value = x.data[from + i * stride] ?? 0;
        if (!ranksAbove(value, maximum)) continue;
        best = i;
        maximum = value;
      }
      y.data[to] = best;
    });
  },

  wasm({ inputs: [x], outputs: [y], attributes: { axis }, ...engine }) {
    return x && y ? linesWasm('argmax', x, y, { axis }, engine) : false;
  },

  webgpu({ inputs: [x], outputs: [y], attributes: { axis } }) {
    if (!x || !y) return [];
    const kept = keptSpace([y], x, [axis]);
    const body = `${addressing(kept, OPERANDS)}
  var best = 0u;
  var maximum = x[x_at];
  for (var i = 1u; i < u.length; i++) {
    let value = x[x_at + i * u.stride];
    if (ranks_above(value, maximum)) {
      best = i;
      maximum = value;
    }
  }
  y[y_at] = i32(best);`;
    return [
      {
        key: `argmax/${kept.sizes.length}`,
        code: () => `${RANKS_ABOVE_WGSL}\n\n${linearMain('u.count', body)}`,
        bindings: [
          { name: 'x', type: 'f32', operand: { input: 0 } },
          { name: 'y', type: 'i32', operand: { output: 0 } },
        ],
        uniforms: [
          ['count', 'u32', kept.count],
          ...addressingUniforms(kept, OPERANDS),
          ['length', 'u32', at(x.shape, axis)],
          ['stride', 'u32', at(x.strides, axis)],
        ],
        workgroups: linearGrid(kept.count),
      },
    ];
  },

  ways: ({ inputs, outputs, attributes: { axis } }) => otherAxes(inputs, outputs, [axis]),
};

/**
 * The position of the maximum along an axis, as int32. Of equal maxima the first one counts; NaN is above every number,
 * as in PyTorch. No gradient flows through it.
 * @param keepDims whether the axis stays in the shape, with size 1
 */
export function argmax(x: Tensor, axis: number, keepDims = false): Tensor {
  const along = normaliseAxis(axis, x.rank);
  if (x.shape[along] === 0)
    throw new UsageError(`argmax: shape ${formatShape(x.shape)} has no elements along axis ${axis}`);
  return applySingle(argmaxDefinition, [x], { axis: along, keepDims });
}

import { UsageError } from '../../errors.ts';
import { physicalOrder } from '../../tensor/layout.ts';
import { at, formatShape, normaliseAxis } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { addressing, addressingUniforms, iterate } from '../core/iteration.ts';
import { otherAxes } from '../core/ways.ts';
import type { HostOperand } from '../device.ts';
import { apply, type OpDefinition } from '../op.ts';
import { keptSpace } from '../reduce/loops.ts';
import { RANKS_ABOVE_WGSL, ranksAbove } from '../reduce/order.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';

export interface TopkAttributes {
  readonly k: number;
  /** Counted from the front. */
  readonly axis: number;
}

const OPERANDS = ['y', 'x'];

/**
 * The k largest elements along an axis and their positions, by falling value and, among equals, by rising position.
 * Selection without scratch memory: each next element is the first, in this order, of those behind the previous one.
 */
export const topkDefinition: OpDefinition<TopkAttributes> = {
  name: 'topk',

  // The two outputs lie alike in memory, so that the kernels need one address for both.
  outputs([x], { k, axis }) {
    if (!x) return [];
    const shape = x.shape.map((size, a) => (a === axis ? k : size));
    const order = physicalOrder(x);
    return [
      { shape, order },
      { shape, order, dtype: 'int32' },
    ];
  },

  host({ inputs: [x], outputs: [values, indices], attributes: { k, axis } }) {
    if (!x || !values || !indices) return;
    const stride = at(x.strides, axis);
    const step = at(values.strides, axis);
    iterate(keptSpace([values], x, [axis]), (to, from) => {
      let previous: number | undefined;
      for (let rank = 0; rank < k; rank++) {
        const index = nextInOrder(x.data, from, stride, at(x.shape, axis), previous);
        values.data[to + rank * step] = at(x.data, from + index * stride);
        indices.data[to + rank * step] = index;
        previous = index;
      }
    });
  },

  webgpu({ inputs: [x], outputs: [values], attributes: { k, axis } }) {
    if (!x || !values) return [];
    const kept = keptSpace([values], x, [axis]);
    return [
      {
        key: `topk/${kept.sizes.length}`,
        code: () => `${RANKS_ABOVE_WGSL}\n\n${linearMain('u.count', `${addressing(kept, OPERANDS)}\n${SELECTION}`)}`,
        bindings: [
          { name: 'x', type: 'f32', operand: { input: 0 } },
          { name: 'values', type: 'f32', operand: { output: 0 } },
          { name: 'indices', type: 'i32', operand: { output: 1 } },
        ],
        uniforms: [
          ['count', 'u32', kept.count],
          ...addressingUniforms(kept, OPERANDS),
          ['k', 'u32', k],
          ['length', 'u32', at(x.shape, axis)],
          ['stride', 'u32', at(x.strides, axis)],
          ['step', 'u32', at(values.strides, axis)],
        ],
        workgroups: linearGrid(kept.count),
      },
    ];
  },

  ways: ({ inputs, outputs, attributes: { axis } }) => otherAxes(inputs, outputs, [axis]),
};

/** The index of the first element in the order that comes behind element `previous`; of all elements when that is left out. */
function nextInOrder(
  data: HostOperand['data'],
  from: number,
  stride: number,
  length: number,
  previous?: number,
): number {
  const last = previous === undefined ? 0 : at(data, from + previous * stride);
  let best = -1;
  let bestValue = 0;
  for (let i = 0; i < length; i++) {
    const value = data[from + i * stride] ?? 0;
    const remains = previous === undefined || ranksAbove(last, value) || (i > previous && !ranksAbove(value, last));
    if (!remains || (best >= 0 && !ranksAbove(value, bestValue))) continue;
    best = i;
    bestValue = value;
  }
  return best;
}

/** One thread for all k elements of one line. */
const SELECTION = `  var last = 0.0;
  var previous = 0u;
  for (var rank = 0u; rank < u.k; rank++) {
    var best = u.length;
    var best_value = 0.0;
    for (var i = 0u; i < u.length; i++) {
      let value = x[x_at + i * u.stride];
      let remains = rank == 0u || ranks_above(last, value) || (i > previous && !ranks_above(value, last));
      if (remains && (best == u.length || ranks_above(value, best_value))) {
        best = i;
        best_value = value;
      }
    }
    values[y_at + rank * u.step] = best_value;
    indices[y_at + rank * u.step] = i32(best);
    last = best_value;
    previous = best;
  }`;

/**
 * The k largest elements along an axis, the largest first; equal ones by rising position, NaN above every number.
 * @returns the values (float32) and their positions along the axis (int32), both with size k on that axis
 */
export function topk(x: Tensor, k: number, axis = -1): { values: Tensor; indices: Tensor } {
  const along = normaliseAxis(axis, x.rank);
  const length = at(x.shape, along);
  if (!Number.isInteger(k) || k < 1 || k > length) {
    throw new UsageError(
      `topk: k = ${k} is out of range for axis ${axis} of shape ${formatShape(x.shape)}; use 1 to ${length}`,
    );
  }
  const [values, indices] = apply(topkDefinition, [x], { k, axis: along });
  if (!values || !indices) throw new RangeError('topk has two outputs');
  return { values, indices };
}

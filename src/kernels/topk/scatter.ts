import { expandLayout, physicalOrder, rowMajorOrder, type TensorSpec } from '../../tensor/layout.ts';
import { at, type Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { addressing, addressingUniforms, type IterationSpace, iterate, iterationSpace } from '../core/iteration.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { collapse } from '../reduce/loops.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';

export interface TopkGradientAttributes {
  /** The shape of the input of topk. */
  readonly shape: Shape;
  /** The axis of that shape along which topk selected. */
  readonly axis: number;
}

const OPERANDS = ['y', 'g', 'indices', 'position'];

/** y = g at the selected positions, 0 elsewhere. One thread on WebGPU for each element of y looks for its position. */
export const topkGradientDefinition: OpDefinition<TopkGradientAttributes> = {
  name: 'topkGradient',
  integers: true,

  outputs: ([g], { shape }) => (g ? [{ shape: [at(g.shape, 0), ...shape], order: physicalOrder(g) }] : []),

  host({ inputs: [g, indices], outputs: [y], attributes: { axis } }) {
    if (!g || !indices || !y) return;
    const k = at(indices.shape, axis);
    const step = at(g.strides, axis + 1);
    const indicesStep = at(indices.strides, axis);
    iterate(scatterSpace(y, g, indices, axis), (to, from, fromIndices, position) => {
      let value = 0;
      for (let rank = 0; rank < k; rank++) {
        if (indices.data[fromIndices + rank * indicesStep] === position) value = at(g.data, from + rank * step);
      }
      y.data[to] = value;
    });
  },

  webgpu({ inputs: [g, indices], outputs: [y], attributes: { axis } }) {
    if (!g || !indices || !y) return [];
    const space = scatterSpace(y, g, indices, axis);
    const body = `${addressing(space, OPERANDS)}
  var value = 0.0;
  for (var rank = 0u; rank < u.k; rank++) {
    if (u32(indices[indices_at + rank * u.indices_step]) == position_at) { value = g[g_at + rank * u.g_step]; }
  }
  y[y_at] = value;`;
    return [
      {
        key: `topkGradient/${space.sizes.length}`,
        code: () => linearMain('u.count', body),
        bindings: [
          { name: 'g', type: 'f32', operand: { input: 0 } },
          { name: 'indices', type: 'i32', operand: { input: 1 } },
          { name: 'y', type: 'f32', operand: { output: 0 } },
        ],
        uniforms: [
          ['count', 'u32', space.count],
          ...addressingUniforms(space, OPERANDS),
          ['k', 'u32', at(indices.shape, axis)],
          ['g_step', 'u32', at(g.strides, axis + 1)],
          ['indices_step', 'u32', at(indices.strides, axis)],
        ],
        workgroups: linearGrid(space.count),
      },
    ];
  },

  ways: ({ attributes: { shape, axis } }) => [
    { inputs: [0, undefined], outputs: [0] },
    ...rowMajorOrder(shape.length)
      .filter((other) => other !== axis)
      .map((other) => ({ inputs: [other + 1, other], outputs: [other + 1] })),
  ],
};

/** The loops over y [K, ...shape] with the addresses of the first selected element of the same line, and the position in the line. */
function scatterSpace(y: TensorSpec, g: TensorSpec, indices: TensorSpec, axis: number): IterationSpace {
  const { shape } = y;
  const position = { shape, strides: shape.map((_, a) => (a === axis + 1 ? 1 : 0)), offset: 0 };
  return iterationSpace([
    y,
    expandLayout(collapse(g, [axis + 1]), shape),
    expandLayout(collapse(indices, [axis]), shape),
    position,
  ]);
}

/**
 * The gradient of the values of topk.
 * @param g cotangent of the values, [K, ...]
 * @param indices what topk returned, without the axis K
 * @returns [K, ...shape]
 */
export function scatter(g: Tensor, indices: Tensor, attributes: TopkGradientAttributes): Tensor {
  return applySingle(topkGradientDefinition, [g, indices], attributes);
}

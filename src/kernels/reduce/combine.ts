import { addressing, addressingUniforms, iterate, iterationSpace } from '../core/iteration.ts';
import { elementwiseWays } from '../core/ways.ts';
import type { Kernel } from '../device.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';
import { RANKS_ABOVE_WGSL, ranksAbove } from './order.ts';

const OPERANDS = ['y', 'a', 'b'];

/** y = a + b, or the larger of both in the order of maxima: one result of the results of two parts. */
export const combineKernel: Kernel<'sum' | 'max'> = {
  host({ inputs: [a, b], outputs: [y], attributes: fn }) {
    if (!a || !b || !y) return;
    iterate(iterationSpace([y, a, b]), (to, fromA, fromB) => {
      const [first, second] = [a.data[fromA] ?? 0, b.data[fromB] ?? 0];
      if (fn === 'sum') y.data[to] = first + second;
      else y.data[to] = ranksAbove(second, first) ? second : first;
    });
  },

  webgpu({ inputs: [a, b], outputs: [y], attributes: fn }) {
    if (!a || !b || !y) return [];
    const space = iterationSpace([y, a, b]);
    const value = fn === 'sum' ? 'a[a_at] + b[b_at]' : 'select(a[a_at], b[b_at], ranks_above(b[b_at], a[a_at]))';
    const body = () => `${addressing(space, OPERANDS)}\n  y[y_at] = ${value};`;
    return [
      {
        key: `reduce/combine/${fn}/${space.sizes.length}`,
        code: () => `${RANKS_ABOVE_WGSL}\n\n${linearMain('u.count', body())}`,
        bindings: [
          { name: 'a', type: 'f32', operand: { input: 0 } },
          { name: 'b', type: 'f32', operand: { input: 1 } },
          { name: 'y', type: 'f32', operand: { output: 0 } },
        ],
        uniforms: [['count', 'u32', space.count], ...addressingUniforms(space, OPERANDS)],
        workgroups: linearGrid(space.count),
      },
    ];
  },

  ways: ({ inputs, outputs: [y] }) => elementwiseWays(inputs, y),
};

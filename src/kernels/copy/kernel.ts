import { at } from '../../tensor/shape.ts';
import { addressing, addressingUniforms, type IterationSpace, iterate, iterationSpace } from '../core/iteration.ts';
import { nestOf } from '../core/nest.ts';
import { elementwiseWays } from '../core/ways.ts';
import type { WasmOperand, Workspace } from '../cpu/wasm/call.ts';
import type { Kernel } from '../device.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';

const NAMES = ['y', 'x'];

/** y[i...] = x[i...] for two layouts of one shape. */
export const copyKernel = {
  host({ inputs: [x], outputs: [y] }) {
    if (!x || !y) return;
    iterate(iterationSpace([y, x]), (to, from) => {
      y.data[to] = x.data[from] ?? 0;
    });
  },

  wasm({ inputs: [x], outputs: [y], run, workspace }) {
    if (!x || !y) return false;
    const { nest, units } = copyNest(iterationSpace([y, x]), [y, x], workspace);
    run('copy', nest, units);
    return true;
  },

  webgpu({ inputs: [x], outputs: [y] }) {
    if (!x || !y) return [];
    const space = iterationSpace([y, x]);
    // Bits are moved, not numbers: the same shader serves float32 and int32.
    return [
      {
        key: `copy/${space.sizes.length}`,
        code: () => linearMain('u.count', `${addressing(space, NAMES)}\n  y[y_at] = x[x_at];`),
        bindings: [
          { name: 'x', type: 'u32', operand: { input: 0 } },
          { name: 'y', type: 'u32', operand: { output: 0 } },
        ],
        uniforms: [['count', 'u32', space.count], ...addressingUniforms(space, NAMES)],
        workgroups: linearGrid(space.count),
      },
    ];
  },

  ways: ({ inputs, outputs: [y] }) => elementwiseWays(inputs, y),
} satisfies Kernel<unknown>;

/** A row of fewer elements costs less as turns of longer rows. */
const SHORT = 16;

/** The loops of a copy, in any order: a long one innermost. */
export function copyNest(space: IterationSpace, operands: readonly WasmOperand[], workspace: Workspace) {
  const { sizes, strides } = space;
  const last = sizes.length - 1;
  const innermost = at(sizes, last) < SHORT ? sizes.indexOf(Math.max(...sizes)) : last;
  const reorder = (list: readonly number[]) => [...list.toSpliced(innermost, 1), at(list, innermost)];
  return nestOf({ ...space, sizes: reorder(sizes), strides: strides.map(reorder) }, operands, workspace);
}

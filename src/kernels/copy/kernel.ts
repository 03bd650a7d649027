import { addressing, addressingUniforms, iterate, iterationSpace } from '../core/iteration.ts';
import type { Kernel } from '../device.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';

const NAMES = ['y', 'x'];

/** y[i...] = x[i...] for two layouts of one shape. */
export const copyKernel: Kernel<unknown> = {
  host({ inputs: [x], outputs: [y] }) {
    if (!x || !y) return;
    iterate(iterationSpace([y, x]), (to, from) => {
      y.data[to] = x.data[from] ?? 0;
    });
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
};

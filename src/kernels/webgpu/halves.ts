import type { WgslInput } from '../device.ts';
import { linearGrid, linearMain, type ProgramOperand } from './program.ts';
import type { ShaderTarget } from './tiles.ts';

/* Weights in half precision. Kernels read them as they read others: they convert each number when they load it. */

/** Bytes of a number in half precision. */
export const HALF = 2;

/** Whether an input is kept in half precision: a constant does not change, so that it is converted once. */
export function isHalved(input: WgslInput | undefined, { storage }: ShaderTarget): boolean {
  return storage === 'f16' && input?.storage?.constant === true;
}

/** An input of so many numbers in half precision. */
export function halved(input: number, numbers: number): ProgramOperand {
  return {
    packed: {
      input,
      bytes: HALF * numbers,
      program: {
        key: 'halves',
        code: () => linearMain('u.count', '  halves[index] = f16(x[index]);'),
        extensions: ['f16'],
        bindings: [
          { name: 'x', type: 'f32', operand: { input: 0 } },
          { name: 'halves', type: 'f16', operand: { output: 0 } },
        ],
        uniforms: [['count', 'u32', numbers]],
        workgroups: linearGrid(numbers),
      },
    },
  };
}

import { type Layout, physicalOrder } from '../../tensor/layout.ts';
import { at } from '../../tensor/shape.ts';
import type { Uniform } from '../webgpu/program.ts';

/**
 * The loop nest that visits every element of operands of one shape: the axes in the memory order of the first operand,
 * outermost first, with axes merged wherever all operands allow it. Operands of one dense layout need a single loop.
 */
export interface IterationSpace {
  readonly sizes: readonly number[];
  /** `strides[operand][loop]`, in elements. */
  readonly strides: readonly (readonly number[])[];
  readonly offsets: readonly number[];
  /** Number of elements. */
  readonly count: number;
}

/** @param operands layouts of one shape (see `expandLayout`); the first one is the one that is written */
export function iterationSpace(operands: readonly Layout[]): IterationSpace {
  const [first] = operands;
  if (!first) throw new RangeError('an iteration space needs an operand');
  const sizes: number[] = [];
  const strides: number[][] = operands.map(() => []);
  for (const axis of physicalOrder(first)) {
    const size = at(first.shape, axis);
    if (size === 1) continue;
    const inner = operands.map((operand) => at(operand.strides, axis));
    const last = sizes.length - 1;
    const mergeable = last >= 0 && operands.every((_, k) => at(at(strides, k), last) === at(inner, k) * size);
    if (mergeable) {
      sizes[last] = at(sizes, last) * size;
      for (const [k, stride] of inner.entries()) at(strides, k)[last] = stride;
    } else {
      sizes.push(size);
      for (const [k, stride] of inner.entries()) at(strides, k).push(stride);
    }
  }
  if (sizes.length === 0) {
    sizes.push(1);
    for (const operand of strides) operand.push(0);
  }
  const count = sizes.reduce((product, size) => product * size, 1);
  return { sizes, strides, offsets: operands.map(({ offset }) => offset), count };
}

/** Calls `visit` for every element with the address in each operand. The array passed is reused. */
export function iterate(space: IterationSpace, visit: (addresses: readonly number[]) => void): void {
  const rank = space.sizes.length;
  const position = new Array<number>(rank).fill(0);
  const addresses = [...space.offsets];
  for (let n = 0; n < space.count; n++) {
    visit(addresses);
    for (let loop = rank - 1; loop >= 0; loop--) {
      const size = at(space.sizes, loop);
      const wraps = position[loop] === size - 1;
      const step = wraps ? 1 - size : 1;
      position[loop] = wraps ? 0 : at(position, loop) + 1;
      for (let k = 0; k < addresses.length; k++) {
        addresses[k] = at(addresses, k) + step * at(at(space.strides, k), loop);
      }
      if (!wraps) break;
    }
  }
}

/**
 * WGSL that turns `index` (0 <= index < count) into the address `<name>_at` of each operand.
 * It depends on the number of loops only, so one shader serves all shapes.
 */
export function addressing(space: IterationSpace, names: readonly string[], index = 'index'): string {
  const loops = space.sizes.map((_, loop) => loop);
  const unravel = loops.toReversed().flatMap((loop) => {
    if (loop === 0) return [`  let i0 = rest0;`];
    return [`  let i${loop} = rest${loop} % u.size${loop};`, `  let rest${loop - 1} = rest${loop} / u.size${loop};`];
  });
  const addresses = names.map((name) => {
    const terms = loops.map((loop) => ` + i${loop} * u.${name}_stride${loop}`).join('');
    return `  let ${name}_at = u.${name}_offset${terms};`;
  });
  return [`  let rest${loops.length - 1} = ${index};`, ...unravel, ...addresses].join('\n');
}

/** The uniforms that `addressing` reads. */
export function addressingUniforms(space: IterationSpace, names: readonly string[]): Uniform[] {
  const sizes = space.sizes.map((size, loop): Uniform => [`size${loop}`, 'u32', size]);
  const operands = names.flatMap((name, k): Uniform[] => [
    [`${name}_offset`, 'u32', at(space.offsets, k)],
    ...at(space.strides, k).map((stride, loop): Uniform => [`${name}_stride${loop}`, 'u32', stride]),
  ]);
  return [...sizes, ...operands];
}

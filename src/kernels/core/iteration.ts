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

/**
 * Calls `visit` for every element with its address in each operand, of which there may be up to four. The innermost loop
 * has nothing but additions: this is what the elementwise host kernels spend their time in.
 */
export function iterate(space: IterationSpace, visit: (a: number, b: number, c: number, d: number) => void): void {
  const innermost = space.sizes.length - 1;
  const outer = space.sizes.slice(0, -1);
  const size = space.sizes[innermost] ?? 1;
  const step = (operand: number) => space.strides[operand]?.[innermost] ?? 0;
  const [stepA, stepB, stepC, stepD] = [step(0), step(1), step(2), step(3)];
  const position = outer.map(() => 0);
  const start = [0, 0, 0, 0].map((_, operand) => space.offsets[operand] ?? 0);
  for (let visited = 0; visited < space.count; visited += size) {
    let [a = 0, b = 0, c = 0, d = 0] = start;
    for (let i = 0; i < size; i++) {
      visit(a, b, c, d);
      a += stepA;
      b += stepB;
      c += stepC;
      d += stepD;
    }
    advance(outer, position, space.strides, start);
  }
}

/** Moves on by one in the loops `sizes`, like an odometer, and the addresses with them. */
function advance(
  sizes: readonly number[],
  position: number[],
  strides: IterationSpace['strides'],
  addresses: number[],
): void {
  for (let loop = sizes.length - 1; loop >= 0; loop--) {
    const size = at(sizes, loop);
    const wraps = position[loop] === size - 1;
    const steps = wraps ? 1 - size : 1;
    position[loop] = wraps ? 0 : at(position, loop) + 1;
    for (const [operand, stride] of strides.entries()) {
      addresses[operand] = at(addresses, operand) + steps * at(stride, loop);
    }
    if (!wraps) return;
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

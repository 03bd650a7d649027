import { at, sizeOf } from '../../tensor/shape.ts';
import { FLOAT, type Job, type WasmOperand, type Workspace } from '../cpu/wasm/call.ts';
import type { IterationSpace } from './iteration.ts';

/** Elements of a unit that does little with each of them: enough to be worth sharing, and few enough for three operands to fit into a cache. */
export const PART = 4096;

/** With fewer elements than this, TypeScript is done before WebAssembly has been called. */
export const SMALL = 128;

/**
 * An iteration space as the loops of a kernel.
 * @param operands those of the space, four at most: y, a, b, c
 * @param part elements of a unit, roughly
 * @returns the fields of `Nest` of nest.as.ts, and their number of units
 */
export function nestOf(
  { sizes, strides, offsets }: IterationSpace,
  operands: readonly Pick<WasmOperand, 'address'>[],
  workspace: Workspace,
  part = PART,
): { readonly nest: Job; readonly units: number } {
  const inner = sizes.length - 1;
  const length = at(sizes, inner);
  const rows = sizes[inner - 1] ?? 1;
  const outer = sizes.slice(0, Math.max(inner - 1, 0));
  const parts = Math.max(1, Math.floor(length / part));
  const unitRows = Math.ceil(part / length);
  const start = (k: number) => at(operands, k).address + FLOAT * at(offsets, k);
  const bytes = (k: number, loop: number) => FLOAT * (strides[k]?.[loop] ?? 0);
  const turns = outer.flatMap((size, loop) => [size, bytes(0, loop), bytes(1, loop), bytes(2, loop), bytes(3, loop)]);
  const loops = turns.length > 0 ? workspace.write(Int32Array.from(turns)) : 0;
  const nest = {
    loops,
    lastLoop: loops + FLOAT * turns.length,
    rows,
    length,
    unitRows,
    parts,
    part,
    y: start(0),
    a: start(1),
    b: operands.length > 2 ? start(2) : 0,
    c: operands.length > 3 ? start(3) : 0,
    rowY: bytes(0, inner - 1),
    rowA: bytes(1, inner - 1),
    rowB: bytes(2, inner - 1),
    rowC: bytes(3, inner - 1),
    stepY: bytes(0, inner),
    stepA: bytes(1, inner),
    stepB: bytes(2, inner),
    stepC: bytes(3, inner),
  };
  return { nest, units: sizeOf(outer) * Math.ceil(rows / unitRows) * parts };
}

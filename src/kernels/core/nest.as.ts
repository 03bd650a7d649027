/*
 * The loops of kernels that visit operands element by element, made by nest.ts: any number of outer loops around `rows`
 * rows of `length` elements, evenly spaced in each operand. One operand is written (y), the others are read (a, b, c).
 * A unit is a part of a long row, or some short rows.
 */

/** An outer loop: its number of turns, and how far apart they are in each operand, in bytes. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Loop {
  size: usize;
  y: usize;
  a: usize;
  b: usize;
  c: usize;
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
export class Nest {
  /** List of `Loop`, the outermost first. */
  loops: usize;
  lastLoop: usize;
  rows: usize;
  length: usize;
  /** Rows of a unit; the last one has what is left. */
  unitRows: usize;
  /** Units that share a row. All have `part` elements, but for the last one, which has the rest as well. */
  parts: usize;
  part: usize;
  /** Where the operands begin. */
  y: usize;
  a: usize;
  b: usize;
  c: usize;
  /** Bytes from row to row. */
  rowY: usize;
  rowA: usize;
  rowB: usize;
  rowC: usize;
  /** Bytes from element to element; 0 for an operand that repeats one. */
  stepY: usize;
  stepA: usize;
  stepB: usize;
  stepC: usize;
}

/** A walk through the rows of some units: where the row is in each operand, and its number of elements. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
export class Walk {
  y: usize;
  a: usize;
  b: usize;
  c: usize;
  length: usize;
  /** Rows of the unit behind this one. */
  left: usize;
  /** The next unit, and the one to stop before. */
  unit: usize;
  end: usize;
}

/** A walk through units `begin` to `end`, in scratch memory; `next` leads to the first row. */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function walk(begin: usize, end: usize, scratch: usize): Walk {
  const at = changetype<Walk>(scratch);
  at.left = 0;
  at.unit = begin;
  at.end = end;
  return at;
}

/** Goes on to the next row; false behind the last one. */
export function next(nest: Nest, at: Walk): bool {
  if (at.left > 0) {
    at.left -= 1;
    at.y += nest.rowY;
    at.a += nest.rowA;
    at.b += nest.rowB;
    at.c += nest.rowC;
    return true;
  }
  if (at.unit == at.end) return false;
  enter(nest, at);
  at.unit += 1;
  return true;
}

/** Goes to the first row of the unit. */
function enter(nest: Nest, at: Walk): void {
  const part = at.unit % nest.parts;
  const first = part * nest.part;
  let rest = at.unit / nest.parts;
  const groups = (nest.rows + nest.unitRows - 1) / nest.unitRows;
  const row = (rest % groups) * nest.unitRows;
  rest /= groups;
  at.length = part + 1 < nest.parts ? nest.part : nest.length - first;
  at.left = min(nest.unitRows, nest.rows - row) - 1;
  at.y = nest.y + row * nest.rowY + first * nest.stepY;
  at.a = nest.a + row * nest.rowA + first * nest.stepA;
  at.b = nest.b + row * nest.rowB + first * nest.stepB;
  at.c = nest.c + row * nest.rowC + first * nest.stepC;
  for (let list = nest.lastLoop; list > nest.loops; ) {
    list -= offsetof<Loop>();
    const loop = changetype<Loop>(list);
    const turn = rest % loop.size;
    rest /= loop.size;
    at.y += turn * loop.y;
    at.a += turn * loop.a;
    at.b += turn * loop.b;
    at.c += turn * loop.c;
  }
}

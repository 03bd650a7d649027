import { Nest, next, walk } from '../core/nest.as';

/** Rows at least this long are left to the copying instruction. */
const LONG: usize = 1024;

/** y = a in units `begin` to `end` of a `Nest`, four bytes for each element. */
export function copy(job: usize, begin: usize, end: usize, scratch: usize): void {
  const nest = changetype<Nest>(job);
  const at = walk(begin, end, scratch);
  while (next(nest, at)) copyRow(at.y, at.a, at.length, nest.stepY, nest.stepA);
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function copyRow(y: usize, a: usize, length: usize, stepY: usize, stepA: usize): void {
  const end = a + 4 * length;
  if (stepY == 4 && stepA == 4) {
    if (length >= LONG) {
      memory.copy(y, a, 4 * length);
      return;
    }
    for (; a + 16 <= end; a += 16, y += 16) v128.store(y, v128.load(a));
    for (; a < end; a += 4, y += 4) store<u32>(y, load<u32>(a));
    return;
  }
  for (let i = length; i > 0; i--) {
    store<u32>(y, load<u32>(a));
    y += stepY;
    a += stepA;
  }
}

import { Nest, next, walk } from '../core/nest.as';

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Lines extends Nest {
  lineLength: usize;
  /** Bytes from element to element of a line. */
  spaceX: usize;
}

/** y = the position of the first maximum, or of the first NaN, of each line of x (operand a). */
export function argmax(job: usize, begin: usize, end: usize, scratch: usize): void {
  const lines = changetype<Lines>(job);
  const at = walk(begin, end, scratch);
  while (next(lines, at)) {
    for (let i: usize = 0; i < at.length; i++) {
      store<i32>(at.y + i * lines.stepY, first(at.a + i * lines.stepA, lines.lineLength, lines.spaceX));
    }
  }
}

function first(x: usize, length: usize, space: usize): i32 {
  let best: usize = 0;
  let maximum = load<f32>(x);
  for (let i: usize = 1; i < length; i++) {
    const value = load<f32>(x + i * space);
    if (value > maximum || (value != value && maximum == maximum)) {
      best = i;
      maximum = value;
    }
  }
  return <i32>best;
}

import { exp, log } from '../core/double.as';
import { Nest, next, Walk, walk } from '../core/nest.as';

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Softmax extends Nest {
  lineLength: usize;
  /** Bytes from element to element of a line. */
  spaceX: usize;
  spaceY: usize;
  /** Whether the logarithm is wanted. */
  log: usize;
}

/** y = the softmax of each line of x (operand a), or its logarithm, in double precision; scratch memory takes one line. */
export function softmax(job: usize, begin: usize, end: usize, scratch: usize): void {
  const lines = changetype<Softmax>(job);
  const at = walk(begin, end, scratch);
  while (next(lines, at)) {
    for (let i: usize = 0; i < at.length; i++) {
      line(lines, at.a + i * lines.stepA, at.y + i * lines.stepY, scratch + offsetof<Walk>());
    }
  }
}

function line(lines: Softmax, x: usize, y: usize, values: usize): void {
  const length = lines.lineLength;
  let maximum: f64 = -Infinity;
  for (let i: usize = 0; i < length; i++) {
    const value = <f64>load<f32>(x + i * lines.spaceX);
    maximum = max(maximum, value);
    store<f64>(values + 8 * i, value);
  }
  // A line of odd length is filled up with what has an exponential of 0.
  store<f64>(values + 8 * length, -Infinity);

  let sums = f64x2.splat(0);
  for (let i: usize = 0; i < length; i += 2) {
    const exponent = f64x2.sub(v128.load(values + 8 * i), f64x2.splat(maximum));
    const value = exp(exponent);
    sums = f64x2.add(sums, value);
    v128.store(values + 8 * i, lines.log ? exponent : value);
  }
  const total = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  const logTotal = f64x2.extract_lane(log(f64x2.splat(total)), 0);
  for (let i: usize = 0; i < length; i++) {
    const value = load<f64>(values + 8 * i);
    store<f32>(y + i * lines.spaceY, <f32>(lines.log ? value - logTotal : value / total));
  }
}

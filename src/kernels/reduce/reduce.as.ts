/*
 * Reductions along some axes. A `Nest` visits what is kept, y and the first of the elements that make it up in x (operand
 * a); the others lie in runs behind that one. Sums are double precision.
 */
import { narrow, widen } from '../core/double.as';
import { Nest, next, Walk, walk } from '../core/nest.as';
import { VECTOR } from '../core/vector.as';

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Reduction extends Nest {
  /** List of addresses: how far behind the first element of all the runs begin. */
  runs: usize;
  lastRun: usize;
  /** Elements of a run, and bytes from one to the next. */
  runLength: usize;
  runStep: usize;
  /** What sums are divided by. */
  divisor: usize;
}

/** Sums or, divided by their number, means. */
export function reduceSum(job: usize, begin: usize, end: usize, scratch: usize): void {
  const reduction = changetype<Reduction>(job);
  const at = walk(begin, end, scratch);
  while (next(reduction, at)) {
    if (reduction.stepA == 4 && reduction.stepY == 4) sumRows(reduction, at, scratch + offsetof<Walk>());
    else for (let i: usize = 0; i < at.length; i++) {
      const sum = sumOf(reduction, at.a + i * reduction.stepA) / <f64>reduction.divisor;
      store<f32>(at.y + i * reduction.stepY, <f32>sum);
    }
  }
}

/** Where the kept elements lie side by side: sums for all of them at once, in scratch memory, in the order of the runs. */
function sumRows(reduction: Reduction, at: Walk, sums: usize): void {
  const bytes = at.length * 4;
  const vectors = bytes - (bytes % VECTOR);
  memory.fill(sums, 0, 2 * bytes);
  for (let run = reduction.runs; run < reduction.lastRun; run += 4) {
    let a = at.a + load<usize>(run);
    for (let n = reduction.runLength; n > 0; n--, a += reduction.runStep) {
      for (let i: usize = 0; i < vectors; i += VECTOR) {
        const sum = sums + 2 * i;
        v128.store(sum, f64x2.add(v128.load(sum), widen(a + i)));
        v128.store(sum, f64x2.add(v128.load(sum, VECTOR), widen(a + i + VECTOR / 2)), VECTOR);
      }
      for (let i = vectors; i < bytes; i += 4) {
        const sum = sums + 2 * i;
        store<f64>(sum, load<f64>(sum) + <f64>load<f32>(a + i));
      }
    }
  }
  const divisor = <f64>reduction.divisor;
  for (let i: usize = 0; i < vectors; i += VECTOR) {
    const low = f64x2.div(v128.load(sums + 2 * i), f64x2.splat(divisor));
    const high = f64x2.div(v128.load(sums + 2 * i, VECTOR), f64x2.splat(divisor));
    v128.store(at.y + i, narrow(low, high));
  }
  for (let i = vectors; i < bytes; i += 4) store<f32>(at.y + i, <f32>(load<f64>(sums + 2 * i) / divisor));
}

/** The sum of all runs behind `first`. */
function sumOf(reduction: Reduction, first: usize): f64 {
  let sum: f64 = 0;
  for (let run = reduction.runs; run < reduction.lastRun; run += 4) {
    const a = first + load<usize>(run);
    sum += reduction.runStep == 4 ? sumDense(a, reduction.runLength) : sumSpaced(a, reduction);
  }
  return sum;
}

function sumDense(a: usize, length: usize): f64 {
  const end = a + 4 * length;
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  for (; a + VECTOR <= end; a += VECTOR) {
    low = f64x2.add(low, widen(a));
    high = f64x2.add(high, widen(a + VECTOR / 2));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  for (; a < end; a += 4) sum += <f64>load<f32>(a);
  return sum;
}

function sumSpaced(a: usize, reduction: Reduction): f64 {
  let sum: f64 = 0;
  for (let n = reduction.runLength; n > 0; n--, a += reduction.runStep) sum += <f64>load<f32>(a);
  return sum;
}

/** Maxima; a NaN is above every number, and the first of 0 and -0 stays. */
export function reduceMax(job: usize, begin: usize, end: usize, scratch: usize): void {
  const reduction = changetype<Reduction>(job);
  const at = walk(begin, end, scratch);
  while (next(reduction, at)) {
    if (reduction.stepA == 4 && reduction.stepY == 4) maximumRows(reduction, at);
    else for (let i: usize = 0; i < at.length; i++) {
      store<f32>(at.y + i * reduction.stepY, maximumOf(reduction, at.a + i * reduction.stepA));
    }
  }
}

function maximumRows(reduction: Reduction, at: Walk): void {
  const y = at.y;
  const bytes = at.length * 4;
  const vectors = bytes - (bytes % VECTOR);
  memory.copy(y, at.a, bytes);
  for (let run = reduction.runs; run < reduction.lastRun; run += 4) {
    let a = at.a + load<usize>(run);
    for (let n = reduction.runLength; n > 0; n--, a += reduction.runStep) {
      for (let i: usize = 0; i < vectors; i += VECTOR) {
        const value = v128.load(a + i);
        const maximum = v128.load(y + i);
        const above = v128.or(f32x4.gt(value, maximum), f32x4.ne(value, value));
        v128.store(y + i, v128.bitselect(value, maximum, above));
      }
      for (let i = vectors; i < bytes; i += 4) store<f32>(y + i, higher(load<f32>(a + i), load<f32>(y + i)));
    }
  }
}

function maximumOf(reduction: Reduction, first: usize): f32 {
  let maximum = load<f32>(first);
  for (let run = reduction.runs; run < reduction.lastRun; run += 4) {
    let a = first + load<usize>(run);
    for (let n = reduction.runLength; n > 0; n--, a += reduction.runStep) maximum = higher(load<f32>(a), maximum);
  }
  return maximum;
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function higher(value: f32, maximum: f32): f32 {
  return value > maximum || value != value ? value : maximum;
}

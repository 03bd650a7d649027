/*
 * The functions of functions.ts on four floats at once. What is rounded once is the same, bit for bit, as in TypeScript;
 * what goes through exp, log or the normal distribution is within 1e-7 of it, relative to the larger of the result and 1.
 */
import * as double from '../core/double.as';
import { narrow, normalDistribution, select, widen } from '../core/double.as';
import { Nest, next, Walk, walk } from '../core/nest.as';
import { VECTOR } from '../core/vector.as';

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Pointwise extends Nest {
  /** What functions.ts calls `p`. */
  parameter: f32;
}

/** Where an argument that does not lie as y does is copied to; a row has less than 2 * 4096 elements. */
const STAGE: usize = 8 * 4096;

/** A walk that finds all arguments without gaps between their elements: where one has such, a copy of its row. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class DenseWalk extends Walk {
  denseA: usize;
  denseB: usize;
  denseC: usize;
}

function nextDense(nest: Nest, at: DenseWalk): bool {
  if (!next(nest, at)) return false;
  const stages = changetype<usize>(at) + offsetof<DenseWalk>();
  at.denseA = nest.stepA == 4 ? at.a : stage(at.a, nest.stepA, at.length, stages);
  at.denseB = nest.stepB == 4 ? at.b : stage(at.b, nest.stepB, at.length, stages + STAGE);
  at.denseC = nest.stepC == 4 ? at.c : stage(at.c, nest.stepC, at.length, stages + 2 * STAGE);
  return true;
}

/** Copies a row to `to`, and returns that. */
function stage(from: usize, step: usize, length: usize, to: usize): usize {
  if (step == 0) {
    const value = v128.load32_splat(from);
    for (let i: usize = 0; i < 4 * length; i += VECTOR) v128.store(to + i, value);
    return to;
  }
  for (let i: usize = 0; i < length; i++) store<f32>(to + 4 * i, load<f32>(from + i * step));
  return to;
}

/** y = F of four floats at a time, in units `begin` to `end` of a `Pointwise` whose rows have four elements or more. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function apply<F>(job: usize, begin: usize, end: usize, scratch: usize): void {
  const nest = changetype<Pointwise>(job);
  const p = f64x2.splat(nest.parameter);
  const at = changetype<DenseWalk>(walk(begin, end, scratch));
  while (nextDense(nest, at)) {
    const y = at.y;
    const a = at.denseA;
    const b = at.denseB;
    const c = at.denseC;
    const last: usize = 4 * at.length - VECTOR;
    for (let i: usize = 0; ; i = last) {
      for (; i <= last; i += VECTOR) v128.store(y + i, changetype<F>(0).of(a + i, b + i, c + i, p));
      // What is left over is done with the last whole vector, which overlaps the one before it.
      if (i == last + VECTOR) break;
    }
  }
}

/** max(v, 0) as Math.max has it, which lets a NaN come through; the sum turns -0 into 0. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function positivePart(v: v128): v128 {
  return f32x4.add(f32x4.pmax(v, f32x4.splat(0)), f32x4.splat(0));
}

/** A function that is computed on two doubles at a time. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class InDouble<F> {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, c: usize, p: v128): v128 {
    const low = changetype<F>(0).pair(a, b, c, p);
    return narrow(low, changetype<F>(0).pair(a + VECTOR / 2, b + VECTOR / 2, c + VECTOR / 2, p));
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function four(at: usize): v128 {
  return v128.load(at);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Add {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, _c: usize, _p: v128): v128 {
    return f32x4.add(four(a), four(b));
  }
}
export function add(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Add>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Sub {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, _c: usize, _p: v128): v128 {
    return f32x4.sub(four(a), four(b));
  }
}
export function sub(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Sub>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Mul {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, _c: usize, _p: v128): v128 {
    return f32x4.mul(four(a), four(b));
  }
}
export function mul(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Mul>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Div {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, _c: usize, _p: v128): v128 {
    return f32x4.div(four(a), four(b));
  }
}
export function div(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Div>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Equal {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, _c: usize, _p: v128): v128 {
    return v128.and(f32x4.eq(four(a), four(b)), f32x4.splat(1));
  }
}
export function equal(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Equal>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Where {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, c: usize, _p: v128): v128 {
    return v128.bitselect(four(b), four(c), f32x4.ne(four(a), f32x4.splat(0)));
  }
}
export function where(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Where>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class ReluGradient {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, _c: usize, _p: v128): v128 {
    return v128.andnot(four(a), f32x4.le(four(b), f32x4.splat(0)));
  }
}
export function reluGradient(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<ReluGradient>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Neg {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return f32x4.neg(four(a));
  }
}
export function neg(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Neg>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Abs {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return f32x4.abs(four(a));
  }
}
export function abs(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Abs>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Sqrt {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return f32x4.sqrt(four(a));
  }
}
export function sqrt(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Sqrt>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Relu {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return positivePart(four(a));
  }
}
export function relu(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Relu>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Step {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return v128.and(f32x4.gt(four(a), f32x4.splat(0)), f32x4.splat(1));
  }
}
export function step(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Step>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Sign {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return select(f32x4.gt(four(a), f32x4.splat(0)), f32x4.splat(1), select(f32x4.lt(four(a), f32x4.splat(0)), f32x4.splat(-1), four(a)));
  }
}
export function sign(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<Sign>(job, begin, end, scratch);
}

const INVERSE_SQRT_2PI: f64 = 0.3989422804014327;

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class MultiplyAdd {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, b: usize, c: usize, _p: v128): v128 {
    return f64x2.add(f64x2.mul(widen(a), widen(b)), widen(c));
  }
}
export function multiplyAdd(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<MultiplyAdd>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class MultiplyAddRelu {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(a: usize, b: usize, c: usize, p: v128): v128 {
    return positivePart(changetype<InDouble<MultiplyAdd>>(0).of(a, b, c, p));
  }
}
export function multiplyAddRelu(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<MultiplyAddRelu>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class SquaredDifference {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, b: usize, _c: usize, _p: v128): v128 {
    const difference = f64x2.sub(widen(a), widen(b));
    return f64x2.mul(difference, difference);
  }
}
export function squaredDifference(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<SquaredDifference>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class TimesDifference {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, b: usize, c: usize, _p: v128): v128 {
    return f64x2.mul(widen(a), f64x2.sub(widen(b), widen(c)));
  }
}
export function timesDifference(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<TimesDifference>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Rsqrt {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return f64x2.div(f64x2.splat(1), f64x2.sqrt(widen(a)));
  }
}
export function rsqrt(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<Rsqrt>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Exp {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return double.exp(widen(a));
  }
}
export function exp(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<Exp>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Log {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return double.log(widen(a));
  }
}
export function log(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<Log>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Sigmoid {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return f64x2.div(f64x2.splat(1), f64x2.add(f64x2.splat(1), double.exp(f64x2.neg(widen(a)))));
  }
}
export function sigmoid(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<Sigmoid>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Elu {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, p: v128): v128 {
    return select(f64x2.gt(widen(a), f64x2.splat(0)), widen(a), f64x2.mul(p, double.expm1(widen(a))));
  }
}
export function elu(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<Elu>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class EluDerivative {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, p: v128): v128 {
    return select(f64x2.gt(widen(a), f64x2.splat(0)), f64x2.splat(1), f64x2.mul(p, double.exp(widen(a))));
  }
}
export function eluDerivative(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<EluDerivative>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Gelu {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    return f64x2.mul(widen(a), normalDistribution(widen(a)));
  }
}
export function gelu(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<Gelu>>(job, begin, end, scratch);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class GeluDerivative {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pair(a: usize, _b: usize, _c: usize, _p: v128): v128 {
    const x = widen(a);
    const density = f64x2.mul(f64x2.splat(INVERSE_SQRT_2PI), double.exp(f64x2.mul(f64x2.mul(x, x), f64x2.splat(-0.5))));
    return f64x2.add(normalDistribution(x), f64x2.mul(x, density));
  }
}
export function geluDerivative(job: usize, begin: usize, end: usize, scratch: usize): void {
  apply<InDouble<GeluDerivative>>(job, begin, end, scratch);
}

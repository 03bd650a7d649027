/*
 * Convolutions in which each channel is a group of its own: y[p, c] = act(bias[c] + residual[p, c] + sum over taps t of
 * x[at(p) + t, c] * w[t, c]). Channels follow each other in memory, and are done four at a time; a weight that was loaded
 * serves four pixels. All distances are in bytes.
 */
import { narrow, upper } from '../core/double.as';
import { multiplyAdd, VECTOR } from '../core/vector.as';

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Depthwise {
  /** The first value that the window of the first pixel reads. */
  x: usize;
  xImage: usize;
  xRow: usize;
  xColumn: usize;
  y: usize;
  yImage: usize;
  yRow: usize;
  yColumn: usize;
  /** Rows and columns of an image. */
  height: usize;
  width: usize;
  channels: usize;
  /** Taps downwards and to the right, in x and in the weights. */
  outer: usize;
  outerStep: usize;
  inner: usize;
  innerStep: usize;
  w: usize;
  wOuterStep: usize;
  wInnerStep: usize;
  /** 0 where there is none. */
  bias: usize;
  /** 0 where there is none; it lies as y does. */
  residual: usize;
  relu: usize;
}

/** Rows `begin` to `end` of the result, counted through all images. */
export function depthwise(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const conv = changetype<Depthwise>(job);
  const size = conv.channels * 4;
  const whole = size - (size % VECTOR);
  for (let row = begin; row < end; row++) {
    const image = row / conv.height;
    const x = conv.x + image * conv.xImage + (row % conv.height) * conv.xRow;
    const y = image * conv.yImage + (row % conv.height) * conv.yRow;
    for (let column: usize = 0; column < conv.width; column += 4) {
      const last = min<usize>(3, conv.width - 1 - column);
      const from = x + column * conv.xColumn;
      const to = y + column * conv.yColumn;
      fourPixels(conv, from, to, last, whole);
      for (let c = whole; c < size; c += 4) {
        for (let p: usize = 0; p <= last; p++) onePixel(conv, c, from + p * conv.xColumn, to + p * conv.yColumn);
      }
    }
  }
}

/** The channels of pixels 0 to `last`, as far as they fill vectors; fewer than four pixels are the last one repeated. */
function fourPixels(conv: Depthwise, x: usize, to: usize, last: usize, size: usize): void {
  // Out of the loops: for all that the compiler knows, a store could change them.
  const outer = conv.outer;
  const outerStep = conv.outerStep;
  const wOuterStep = conv.wOuterStep;
  const inner = conv.inner;
  const innerStep = conv.innerStep;
  const wInnerStep = conv.wInnerStep;
  const yColumn = conv.yColumn;
  const p1 = min<usize>(1, last);
  const p2 = min<usize>(2, last);
  const p3 = min<usize>(3, last);
  const x1 = p1 * conv.xColumn;
  const x2 = p2 * conv.xColumn;
  const x3 = p3 * conv.xColumn;
  for (let c: usize = 0; c < size; c += VECTOR) {
    let sum0 = conv.bias ? v128.load(conv.bias + c) : f32x4.splat(0);
    let sum1 = sum0;
    let sum2 = sum0;
    let sum3 = sum0;
    for (let o: usize = 0; o < outer; o++) {
      let at = x + c + o * outerStep;
      let w = conv.w + c + o * wOuterStep;
      for (let i: usize = 0; i < inner; i++) {
        const weight = v128.load(w);
        sum0 = multiplyAdd(v128.load(at), weight, sum0);
        sum1 = multiplyAdd(v128.load(at + x1), weight, sum1);
        sum2 = multiplyAdd(v128.load(at + x2), weight, sum2);
        sum3 = multiplyAdd(v128.load(at + x3), weight, sum3);
        at += innerStep;
        w += wInnerStep;
      }
    }
    finish(conv, to + c, sum0);
    finish(conv, to + c + p1 * yColumn, sum1);
    finish(conv, to + c + p2 * yColumn, sum2);
    finish(conv, to + c + p3 * yColumn, sum3);
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function finish(conv: Depthwise, to: usize, sum: v128): void {
  if (conv.residual) sum = f32x4.add(sum, v128.load(conv.residual + to));
  // A NaN comes through: it is not less than 0.
  if (conv.relu) sum = f32x4.pmax(sum, f32x4.splat(0));
  v128.store(conv.y + to, sum);
}

/** One channel of one pixel. */
function onePixel(conv: Depthwise, c: usize, x: usize, to: usize): void {
  let sum: f32 = conv.bias ? load<f32>(conv.bias + c) : 0;
  for (let o: usize = 0; o < conv.outer; o++) {
    for (let i: usize = 0; i < conv.inner; i++) {
      const value = load<f32>(x + c + o * conv.outerStep + i * conv.innerStep);
      sum += value * load<f32>(conv.w + c + o * conv.wOuterStep + i * conv.wInnerStep);
    }
  }
  if (conv.residual) sum += load<f32>(conv.residual + to + c);
  store<f32>(conv.y + to + c, conv.relu ? max<f32>(sum, 0) : sum);
}

/** dw[t, c] = sum over images and pixels p of x[at(p) + t, c] * cotangent[p, c] */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class DepthwiseGradient {
  x: usize;
  xImage: usize;
  xRow: usize;
  xColumn: usize;
  cotangent: usize;
  /** Of an image of the cotangent, which is dense. */
  height: usize;
  width: usize;
  images: usize;
  channels: usize;
  /** Taps to the right, and the distances of taps in x. */
  inner: usize;
  outerStep: usize;
  innerStep: usize;
  /** [tap][channel], dense. */
  dw: usize;
}

/** Taps `begin` to `end`. Rows are summed in single precision, and their sums in double. */
export function depthwiseWeightGradient(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const gradient = changetype<DepthwiseGradient>(job);
  const size = gradient.channels * 4;
  const whole = size - (size % VECTOR);
  for (let tap = begin; tap < end; tap++) {
    const x = gradient.x + (tap / gradient.inner) * gradient.outerStep + (tap % gradient.inner) * gradient.innerStep;
    const dw = gradient.dw + tap * size;
    for (let c: usize = 0; c < whole; c += VECTOR) fourChannels(gradient, x + c, c, dw + c);
    for (let c = whole; c < size; c += 4) oneChannel(gradient, x + c, c, dw + c);
  }
}

/** Four sums side by side, so that one product need not wait for the one before. */
function fourChannels(gradient: DepthwiseGradient, x: usize, c: usize, dw: usize): void {
  const pixel = gradient.channels * 4;
  const step = gradient.xColumn;
  const width = gradient.width;
  const whole = width - (width % 4);
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let above = gradient.cotangent + c;
  for (let n: usize = 0; n < gradient.images; n++) {
    for (let row: usize = 0; row < gradient.height; row++) {
      let at = x + n * gradient.xImage + row * gradient.xRow;
      let sum0 = f32x4.splat(0);
      let sum1 = sum0;
      let sum2 = sum0;
      let sum3 = sum0;
      for (let column: usize = 0; column < whole; column += 4) {
        sum0 = multiplyAdd(v128.load(at), v128.load(above), sum0);
        sum1 = multiplyAdd(v128.load(at + step), v128.load(above + pixel), sum1);
        sum2 = multiplyAdd(v128.load(at + 2 * step), v128.load(above + 2 * pixel), sum2);
        sum3 = multiplyAdd(v128.load(at + 3 * step), v128.load(above + 3 * pixel), sum3);
        at += 4 * step;
        above += 4 * pixel;
      }
      for (let column = whole; column < width; column++) {
        sum0 = multiplyAdd(v128.load(at), v128.load(above), sum0);
        at += step;
        above += pixel;
      }
      const sum = f32x4.add(f32x4.add(sum0, sum1), f32x4.add(sum2, sum3));
      low = f64x2.add(low, f64x2.promote_low_f32x4(sum));
      high = f64x2.add(high, f64x2.promote_low_f32x4(upper(sum)));
    }
  }
  v128.store(dw, narrow(low, high));
}

function oneChannel(gradient: DepthwiseGradient, x: usize, c: usize, dw: usize): void {
  let sum: f64 = 0;
  let above = gradient.cotangent + c;
  for (let n: usize = 0; n < gradient.images; n++) {
    for (let row: usize = 0; row < gradient.height; row++) {
      let at = x + n * gradient.xImage + row * gradient.xRow;
      for (let column: usize = 0; column < gradient.width; column++) {
        sum += <f64>load<f32>(at) * <f64>load<f32>(above);
        at += gradient.xColumn;
        above += 4 * gradient.channels;
      }
    }
  }
  store<f32>(dw, <f32>sum);
}

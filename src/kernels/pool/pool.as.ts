/*
 * Pooling of images that lie in memory as [N][H][W][C], four channels at a time; there are four or more. A unit of the
 * forward kernels is a row of results, one of the backward kernels a row of derivatives: nothing is written twice.
 */
import { narrow, upper, widen } from '../core/double.as';
import { VECTOR } from '../core/vector.as';

/** See `Window` of windows.ts. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Window {
  start: usize;
  end: usize;
  step: usize;
  count: usize;
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Pooling {
  x: usize;
  /** Of maxPoolWinners, in place of the maximum, where it is: the pixel of x, or -1. */
  y: usize;
  /** Lists of `Window`. */
  rows: usize;
  columns: usize;
  outHeight: usize;
  outWidth: usize;
  height: usize;
  width: usize;
  channels: usize;
}

/** Reduces a window of one image, for four channels: `image` and the result are addresses of the first of them. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function pool<F>(job: usize, begin: usize, end: usize): void {
  const pooling = changetype<Pooling>(job);
  const pixel: usize = 4 * pooling.channels;
  const last = pixel - VECTOR;
  for (let unit = begin; unit < end; unit++) {
    const image = pooling.x + (unit / pooling.outHeight) * pooling.height * pooling.width * pixel;
    const row = changetype<Window>(pooling.rows + (unit % pooling.outHeight) * offsetof<Window>());
    let y = pooling.y + unit * pooling.outWidth * pixel;
    for (let j: usize = 0; j < pooling.outWidth; j++, y += pixel) {
      const column = changetype<Window>(pooling.columns + j * offsetof<Window>());
      for (let c: usize = 0; ; c = last) {
        for (; c <= last; c += VECTOR) {
          v128.store(y + c, changetype<F>(0).of(image + c, row, column, pooling.width, pixel));
        }
        // What is left over is done with the last four channels.
        if (c == last + VECTOR) break;
      }
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Maximum {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(image: usize, row: Window, column: Window, width: usize, pixel: usize): v128 {
    let maximum = f32x4.splat(-Infinity);
    let isNaN = f32x4.splat(0);
    const size = (column.end - column.start) * pixel;
    const step = column.step * pixel;
    const lines = image + row.end * width * pixel;
    for (let line = image + row.start * width * pixel; line < lines; line += row.step * width * pixel) {
      const from = line + column.start * pixel;
      for (let at = from; at < from + size; at += step) {
        const value = v128.load(at);
        // The first of equal maxima stays: it may be 0 or -0.
        maximum = f32x4.pmax(maximum, value);
        isNaN = v128.or(isNaN, f32x4.ne(value, value));
      }
    }
    return v128.or(maximum, isNaN);
  }
}
export function maxPool(job: usize, begin: usize, end: usize, _scratch: usize): void {
  pool<Maximum>(job, begin, end);
}

/** The first maximum, or the last NaN. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Winner {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(image: usize, row: Window, column: Window, width: usize, pixel: usize): v128 {
    if (row.start >= row.end || column.start >= column.end) return i32x4.splat(-1);
    const first = row.start * width + column.start;
    let winner = i32x4.splat(<i32>first);
    let maximum = v128.load(image + first * pixel);
    for (let i = row.start; i < row.end; i += row.step) {
      for (let j = column.start; j < column.end; j += column.step) {
        const value = v128.load(image + (i * width + j) * pixel);
        const wins = v128.or(f32x4.gt(value, maximum), f32x4.ne(value, value));
        maximum = v128.bitselect(value, maximum, wins);
        winner = v128.bitselect(i32x4.splat(<i32>(i * width + j)), winner, wins);
      }
    }
    return winner;
  }
}
export function maxPoolWinners(job: usize, begin: usize, end: usize, _scratch: usize): void {
  pool<Winner>(job, begin, end);
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Average {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  of(image: usize, row: Window, column: Window, width: usize, pixel: usize): v128 {
    let low = f64x2.splat(0);
    let high = f64x2.splat(0);
    for (let i = row.start; i < row.end; i += row.step) {
      for (let j = column.start; j < column.end; j += column.step) {
        const at = image + (i * width + j) * pixel;
        low = f64x2.add(low, widen(at));
        high = f64x2.add(high, widen(at + VECTOR / 2));
      }
    }
    const divisor = f64x2.splat(<f64>(row.count * column.count));
    return narrow(f64x2.div(low, divisor), f64x2.div(high, divisor));
  }
}
export function averagePool(job: usize, begin: usize, end: usize, _scratch: usize): void {
  pool<Average>(job, begin, end);
}

/** A window along one axis that a position is in: its number, and its factor in the divisor of an average. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Cover {
  window: usize;
  count: usize;
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class PoolingGradient {
  dy: usize;
  dx: usize;
  /** For each row of x, and one more, where its list of `Cover` begins; that of the next one is behind it. */
  rows: usize;
  columns: usize;
  outHeight: usize;
  outWidth: usize;
  height: usize;
  width: usize;
  channels: usize;
  /** Of maxima: what maxPoolWinners found for each of `images` images; image n of dy belongs to image n % images of x. */
  winners: usize;
  images: usize;
}

/** dx = for each position, the sum of F over the windows that it is in. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function propagate<F>(job: usize, begin: usize, end: usize): void {
  const pooling = changetype<PoolingGradient>(job);
  const pixel: usize = 4 * pooling.channels;
  const last = pixel - VECTOR;
  const outSize = pooling.outHeight * pooling.outWidth * pixel;
  for (let unit = begin; unit < end; unit++) {
    const image = unit / pooling.height;
    const i = unit % pooling.height;
    const dy = pooling.dy + image * outSize;
    const winners = pooling.winners + (image % pooling.images) * outSize;
    const firstRow = load<usize>(pooling.rows + 4 * i);
    const lastRow = load<usize>(pooling.rows + 4 * i, 4);
    let dx = pooling.dx + unit * pooling.width * pixel;
    for (let j: usize = 0; j < pooling.width; j++, dx += pixel) {
      const firstColumn = load<usize>(pooling.columns + 4 * j);
      const lastColumn = load<usize>(pooling.columns + 4 * j, 4);
      const position = i32x4.splat(<i32>(i * pooling.width + j));
      for (let c: usize = 0; ; c = last) {
        for (; c <= last; c += VECTOR) {
          let low = f64x2.splat(0);
          let high = f64x2.splat(0);
          for (let r = firstRow; r < lastRow; r += offsetof<Cover>()) {
            const row = changetype<Cover>(r);
            for (let s = firstColumn; s < lastColumn; s += offsetof<Cover>()) {
              const column = changetype<Cover>(s);
              const from = (row.window * pooling.outWidth + column.window) * pixel + c;
              const passed = changetype<F>(0).pass(v128.load(dy + from), winners + from, position);
              low = f64x2.add(low, changetype<F>(0).share(f64x2.promote_low_f32x4(passed), row, column));
              high = f64x2.add(high, changetype<F>(0).share(f64x2.promote_low_f32x4(upper(passed)), row, column));
            }
          }
          v128.store(dx + c, narrow(low, high));
        }
        if (c == last + VECTOR) break;
      }
    }
  }
}

/** All of the derivative goes to the winner. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class ToWinner {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pass(dy: v128, winner: usize, position: v128): v128 {
    return v128.and(dy, i32x4.eq(v128.load(winner), position));
  }
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  share(dy: v128, _row: Cover, _column: Cover): v128 {
    return dy;
  }
}
export function maxPoolGradient(job: usize, begin: usize, end: usize, _scratch: usize): void {
  propagate<ToWinner>(job, begin, end);
}

/** All positions of the window have an equal share. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class ToAll {
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  pass(dy: v128, _winner: usize, _position: v128): v128 {
    return dy;
  }
  // @ts-ignore: a decorator of AssemblyScript
  @inline
  share(dy: v128, row: Cover, column: Cover): v128 {
    return f64x2.div(dy, f64x2.splat(<f64>(row.count * column.count)));
  }
}
export function averagePoolGradient(job: usize, begin: usize, end: usize, _scratch: usize): void {
  propagate<ToAll>(job, begin, end);
}

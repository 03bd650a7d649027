/*
 * Convolution as an implicit GEMM: y[p, c] = act(bias[c] + residual[p, c] + sum over s, r of x[at(p) + from(s) + r] * w[s, r, c])
 *
 * No patches are copied (no im2col): pixel p reads its window at at(p), and segment s of the window, `length` values that
 * follow each other, from(s) behind that. The weights come in panels of 8 columns: [panel][segment][r][8], zeros filling
 * up the last one. Tile: 5 pixels x 8 columns are summed in 10 vector registers.
 */

/** Pixels of a tile: with more, the sums and what a step loads do not fit into the 16 registers of x86. */
const PIXELS: usize = 5;
/** Columns of a panel and of a tile. */
const COLUMNS: usize = 8;
const VECTOR: usize = 16;
/** Bytes of a row of a panel. */
const ROW: usize = 4 * COLUMNS;
/** Bytes of a row of a tile: its sums are double precision. */
const SUMS: usize = 8 * COLUMNS;

/** A window's place: where its values start and where its sum goes, in bytes from the start of the group. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Pixel {
  source: usize;
  target: usize;
}

/** `length` values of a window that follow each other, in bytes behind its start. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Segment {
  source: usize;
  length: usize;
  /** Not 0 where a block of the sum ends, see `multiply`. */
  ends: usize;
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function multiplyAdd(a: v128, b: v128, sum: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, sum) : f32x4.add(f32x4.mul(a, b), sum);
}

/** One group of a convolution. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Convolution {
  source: usize;
  target: usize;
  /** Whole tiles of `Pixel`, the last one repeated; only the first `count` are stored. */
  pixels: usize;
  count: usize;
  /** Pixels whose source stays in the cache while all panels pass by: a number of whole tiles. */
  chunk: usize;
  segments: usize;
  lastSegment: usize;
  panels: usize;
  /** Bytes of one panel. */
  panel: usize;
  columns: usize;
  /** 0 where there is none. */
  bias: usize;
  /** 0 where there is none; it lies as the target does. */
  residual: usize;
  relu: usize;
}

/** Tiles `begin` to `end` of a `Convolution`; `scratch` takes the sums of one tile. */
export function convolve(job: usize, begin: usize, end: usize, scratch: usize): void {
  const conv = changetype<Convolution>(job);
  const behind = min(end * PIXELS, conv.count);
  for (let first = begin * PIXELS; first < behind; first += conv.chunk) {
    const last = min(first + conv.chunk, behind);
    for (let c: usize = 0; c < conv.columns; c += COLUMNS) {
      const w = conv.panels + (c / COLUMNS) * conv.panel;
      for (let p = first; p < last; p += PIXELS) {
        const at = conv.pixels + p * offsetof<Pixel>();
        multiply(conv.source, at, conv.segments, conv.lastSegment, w, scratch);
        for (let i: usize = 0; i < min(PIXELS, last - p); i++) {
          const to = changetype<Pixel>(at + i * offsetof<Pixel>()).target + 4 * c;
          finish(
            scratch + i * SUMS,
            conv.target + to,
            min(COLUMNS, conv.columns - c),
            conv.bias ? conv.bias + 4 * c : 0,
            conv.residual ? conv.residual + to : 0,
            conv.relu != 0,
          );
        }
      }
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function sourceOf(pixels: usize, i: usize): usize {
  return changetype<Pixel>(pixels + i * offsetof<Pixel>()).source;
}

/** An address where no panel ends. */
const NEVER: usize = 1;

/**
 * tile[i, c] = sum over s, r of x[at(i) + from(s) + r] * w[s, r, c] for a tile's 5 pixels and 8 columns. Sums are single
 * precision within a block of segments, and double precision from block to block.
 *
 * V8 moves all loads of a basic block ahead of its arithmetic, so that a block that serves all 5 pixels needs more
 * registers than there are, at half the speed. The exits that are never taken end the blocks: each needs 10 sums, 2
 * vectors of weights and 2 of values.
 */
function multiply(source: usize, pixels: usize, segments: usize, last: usize, w: usize, tile: usize): void {
  const zero = f32x4.splat(0);
  let a0 = zero;
  let a1 = zero;
  let b0 = zero;
  let b1 = zero;
  let c0 = zero;
  let c1 = zero;
  let d0 = zero;
  let d1 = zero;
  let e0 = zero;
  let e1 = zero;
  for (let i: usize = 0; i < PIXELS * SUMS; i += VECTOR) v128.store(tile + i, zero);
  for (let at = segments; at < last; at += offsetof<Segment>()) {
    const segment = changetype<Segment>(at);
    const x = source + segment.source;
    const end = w + segment.length * ROW;
    let a = x + sourceOf(pixels, 0);
    let b = x + sourceOf(pixels, 1);
    let c = x + sourceOf(pixels, 2);
    let d = x + sourceOf(pixels, 3);
    let e = x + sourceOf(pixels, 4);
    while (w < end) {
      const w0 = v128.load(w);
      const w1 = v128.load(w, VECTOR);
      const xa = v128.load32_splat(a);
      const xb = v128.load32_splat(b);
      a0 = multiplyAdd(xa, w0, a0);
      a1 = multiplyAdd(xa, w1, a1);
      b0 = multiplyAdd(xb, w0, b0);
      b1 = multiplyAdd(xb, w1, b1);
      if (w == NEVER) break;
      const xc = v128.load32_splat(c);
      const xd = v128.load32_splat(d);
      c0 = multiplyAdd(xc, w0, c0);
      c1 = multiplyAdd(xc, w1, c1);
      d0 = multiplyAdd(xd, w0, d0);
      d1 = multiplyAdd(xd, w1, d1);
      if (w == NEVER + 1) break;
      const xe = v128.load32_splat(e);
      e0 = multiplyAdd(xe, w0, e0);
      e1 = multiplyAdd(xe, w1, e1);
      w += ROW;
      a += 4;
      b += 4;
      c += 4;
      d += 4;
      e += 4;
    }
    if (segment.ends) {
      add(tile, a0, a1);
      add(tile + 1 * SUMS, b0, b1);
      add(tile + 2 * SUMS, c0, c1);
      add(tile + 3 * SUMS, d0, d1);
      add(tile + 4 * SUMS, e0, e1);
      a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = e0 = e1 = zero;
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function upper(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 2, 3, 2, 3);
}

/** Adds a block's sums for 8 columns to those of the other blocks. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function add(sums: usize, left: v128, right: v128): void {
  addPair(sums, left);
  addPair(sums + VECTOR, upper(left));
  addPair(sums + 2 * VECTOR, right);
  addPair(sums + 3 * VECTOR, upper(right));
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function addPair(sums: usize, v: v128): void {
  v128.store(sums, f64x2.add(v128.load(sums), f64x2.promote_low_f32x4(v)));
}

/** target[c] = act(sums[c] + bias[c] + residual[c]) for a row of a tile; of the last panel fewer columns are stored. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function finish(sums: usize, target: usize, columns: usize, bias: usize, residual: usize, relu: bool): void {
  if (columns == COLUMNS) {
    for (let c: usize = 0; c < ROW; c += VECTOR) {
      let low = v128.load(sums + 2 * c);
      let high = v128.load(sums + 2 * c, VECTOR);
      if (bias) {
        const b = v128.load(bias + c);
        low = f64x2.add(low, f64x2.promote_low_f32x4(b));
        high = f64x2.add(high, f64x2.promote_low_f32x4(upper(b)));
      }
      if (residual) {
        const r = v128.load(residual + c);
        low = f64x2.add(low, f64x2.promote_low_f32x4(r));
        high = f64x2.add(high, f64x2.promote_low_f32x4(upper(r)));
      }
      let value = v128.shuffle<f32>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
      // The instruction lets a NaN come through.
      if (relu) value = f32x4.max(value, f32x4.splat(0));
      v128.store(target + c, value);
    }
    return;
  }
  for (let c: usize = 0; c < 4 * columns; c += 4) {
    let value = load<f64>(sums + 2 * c);
    if (bias) value += load<f32>(bias + c);
    if (residual) value += load<f32>(residual + c);
    store<f32>(target + c, <f32>(relu ? max<f64>(value, 0) : value));
  }
}

/** panels[panel][tap][r][8] = w[tap][r][column], zeros where a panel has more columns than there are. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Packing {
  w: usize;
  panels: usize;
  /** Where the taps' weights start, in bytes. */
  taps: usize;
  lastTap: usize;
  rows: usize;
  /** Bytes from row to row. */
  stride: usize;
  columns: usize;
}

/** Panels `begin` to `end` of a `Packing`. */
export function packPanels(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const packing = changetype<Packing>(job);
  let to = packing.panels + begin * ((packing.lastTap - packing.taps) / 4) * packing.rows * ROW;
  for (let c = begin * COLUMNS; c < end * COLUMNS; c += COLUMNS) {
    const width: usize = 4 * min<usize>(COLUMNS, packing.columns - c);
    for (let tap = packing.taps; tap < packing.lastTap; tap += 4) {
      let from = packing.w + load<usize>(tap) + 4 * c;
      for (let r: usize = 0; r < packing.rows; r++) {
        memory.copy(to, from, width);
        if (width < ROW) memory.fill(to + width, 0, ROW - width);
        to += ROW;
        from += packing.stride;
      }
    }
  }
}

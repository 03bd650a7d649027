/*
 * 3x3 convolutions by minimal filtering, F(4x4, 3x3): each 4 x 4 pixels of the result need 36 products for each pair of
 * channels in place of 144 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016).
 *
 *   y = A^T [ sum over channels of (G g G^T) . (B^T d B) ] A,   with d the 6 x 6 values below a tile of y
 *
 * The points of interpolation are 0, 1, -1, 2, -2 and infinity. Lagrange's divisors 4, -6, -6, 24, 24 and 1 stand in A, where
 * they cost least.
 *
 * B^T d B of a block of tiles are 36 matrices of tiles by channels. The weights G g G^T are four times as many as g, so that
 * they are made anew for each block, a few columns at a time, and stay in a cache until they are multiplied: that takes less
 * time than to read them from memory. Channels are done four at a time. All distances are in bytes.
 */
import { multiplyAdd, VECTOR } from '../core/vector.as';
import { COLUMNS, multiplyTiles, PIXELS, ROW } from '../matmul/gemm.as';

/** Pixels of a tile of the result, and of what it is computed from, along an axis. */
const TILE: usize = 4;
const WINDOW: usize = 6;

// @ts-ignore: a decorator of AssemblyScript
@inline
function times(a: v128, factor: f32): v128 {
  return f32x4.mul(a, f32x4.splat(factor));
}

/** Values at six addresses become B^T d: six vectors, `step` apart. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function transformInput(a0: usize, a1: usize, a2: usize, a3: usize, a4: usize, a5: usize, to: usize, step: usize): void {
  const d0 = v128.load(a0);
  const d1 = v128.load(a1);
  const d2 = v128.load(a2);
  const d3 = v128.load(a3);
  const d4 = v128.load(a4);
  const d5 = v128.load(a5);
  const even = f32x4.sub(d4, times(d2, 4));
  const odd = f32x4.sub(d3, times(d1, 4));
  const evenFar = f32x4.sub(d4, d2);
  const oddFar = times(f32x4.sub(d3, d1), 2);
  v128.store(to, f32x4.add(f32x4.sub(times(d0, 4), times(d2, 5)), d4));
  v128.store(to + step, f32x4.add(even, odd));
  v128.store(to + 2 * step, f32x4.sub(even, odd));
  v128.store(to + 3 * step, f32x4.add(evenFar, oddFar));
  v128.store(to + 4 * step, f32x4.sub(evenFar, oddFar));
  v128.store(to + 5 * step, f32x4.add(f32x4.sub(times(d1, 4), times(d3, 5)), d5));
}

/** Six vectors, `from` apart, become A^T m: four vectors, `step` apart. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function transformOutput(m: usize, from: usize, to: usize, step: usize): void {
  const m1 = v128.load(m + from);
  const m2 = v128.load(m + 2 * from);
  const m3 = v128.load(m + 3 * from);
  const m4 = v128.load(m + 4 * from);
  const near = times(f32x4.add(m1, m2), -1.0 / 6);
  const nearOdd = times(f32x4.sub(m1, m2), -1.0 / 6);
  const far = times(f32x4.add(m3, m4), 1.0 / 24);
  const farOdd = times(f32x4.sub(m3, m4), 1.0 / 12);
  v128.store(to, f32x4.add(f32x4.add(times(v128.load(m), 0.25), near), far));
  v128.store(to + step, f32x4.add(nearOdd, farOdd));
  v128.store(to + 2 * step, f32x4.add(near, times(far, 4)));
  v128.store(to + 3 * step, f32x4.add(f32x4.add(nearOdd, times(farOdd, 4)), v128.load(m + 5 * from)));
}

/** Tiles of the result lie in rows and columns over each image; a block of them is transformed at a time. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class WinogradInput {
  x: usize;
  height: usize;
  width: usize;
  /** Bytes of a pixel: of its channels, a multiple of 4 of them. */
  pixel: usize;
  /** Where the window of the first pixel begins; may be negative. */
  top: isize;
  left: isize;
  tileRows: usize;
  tileColumns: usize;
  firstTile: usize;
  /** [6][6][tile][channel] */
  matrices: usize;
  matrix: usize;
}

/** Tiles `begin` to `end` of the block. */
export function winogradInput(job: usize, begin: usize, end: usize, scratch: usize): void {
  const input = changetype<WinogradInput>(job);
  const pixel = input.pixel;
  const addresses = scratch;
  const half = addresses + 4 * WINDOW * WINDOW;
  const zeros = half + VECTOR * WINDOW * WINDOW;
  memory.fill(zeros, 0, pixel);
  for (let tile = begin; tile < end; tile++) {
    locateWindow(input, input.firstTile + tile, zeros, addresses);
    const to = input.matrices + tile * pixel;
    for (let c: usize = 0; c < pixel; c += VECTOR) {
      for (let j: usize = 0; j < WINDOW; j++) {
        const at = addresses + 4 * j;
        transformInput(
          load<u32>(at) + c,
          load<u32>(at, 4 * 6) + c,
          load<u32>(at, 4 * 12) + c,
          load<u32>(at, 4 * 18) + c,
          load<u32>(at, 4 * 24) + c,
          load<u32>(at, 4 * 30) + c,
          half + j * VECTOR,
          WINDOW * VECTOR,
        );
      }
      for (let i: usize = 0; i < WINDOW; i++) {
        const at = half + i * WINDOW * VECTOR;
        transformInput(
          at,
          at + VECTOR,
          at + 2 * VECTOR,
          at + 3 * VECTOR,
          at + 4 * VECTOR,
          at + 5 * VECTOR,
          to + i * WINDOW * input.matrix + c,
          input.matrix,
        );
      }
    }
  }
}

/** The addresses of the 36 pixels below a tile; zeros outside of the image. */
function locateWindow(input: WinogradInput, tile: usize, zeros: usize, addresses: usize): void {
  const row = tile / input.tileColumns;
  const image = input.x + (row / input.tileRows) * input.height * input.width * input.pixel;
  const top = <isize>((row % input.tileRows) * TILE) + input.top;
  const left = <isize>((tile % input.tileColumns) * TILE) + input.left;
  for (let i: usize = 0; i < WINDOW; i++) {
    for (let j: usize = 0; j < WINDOW; j++) {
      // Negative ones count as far outside.
      const y = <usize>(top + <isize>i);
      const x = <usize>(left + <isize>j);
      const inside = y < input.height && x < input.width;
      const at = inside ? image + (y * input.width + x) * input.pixel : zeros;
      store<u32>(addresses + 4 * (i * WINDOW + j), <u32>at);
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class WinogradProduct {
  /** B^T d B: [6][6][tile][channel] */
  matrices: usize;
  matrix: usize;
  /** Channels of x. */
  rows: usize;
  /** The weights: [panel][channel][3][3][8]. */
  panels: usize;
  /** Channels of y, a multiple of 4. */
  columns: usize;
  /** A unit is a range of panels. */
  unitPanels: usize;
  /** Of the block, and the first of it. */
  tiles: usize;
  firstTile: usize;
  tileRows: usize;
  tileColumns: usize;
  y: usize;
  height: usize;
  width: usize;
  /** 0 where there is none. */
  bias: usize;
  /** 0 where there is none; it lies as y does. */
  residual: usize;
  relu: usize;
}

/** Units `begin` to `end`; `scratch` takes 36 matrices of sums, six of weights, and where tiles lie. */
export function winogradProduct(job: usize, begin: usize, end: usize, scratch: usize): void {
  const product = changetype<WinogradProduct>(job);
  const all = (product.columns + COLUMNS - 1) / COLUMNS;
  const table = 4 * (product.tiles + PIXELS);
  const sources = scratch + VECTOR * (WINDOW + 1) * TILE;
  const targets = sources + table;
  const weights = targets + table;
  for (let unit = begin; unit < end; unit++) {
    const panel = unit * product.unitPanels;
    const panels = min(product.unitPanels, all - panel);
    const matrix = (panels * product.rows * ROW) | 64;
    const sum = product.tiles * panels * ROW;
    const sums = weights + WINDOW * matrix;
    for (let p: usize = 0; p < product.tiles + PIXELS; p++) {
      const tile = min(p, product.tiles - 1);
      store<u32>(sources + 4 * p, <u32>(tile * product.rows * 4));
      store<u32>(targets + 4 * p, <u32>(tile * panels * ROW));
    }
    for (let i: usize = 0; i < WINDOW; i++) {
      for (let p: usize = 0; p < panels; p++) {
        transformWeights(product, panel + p, i, weights + p * product.rows * ROW, matrix);
      }
      for (let j: usize = 0; j < WINDOW; j++) {
        const m = i * WINDOW + j;
        multiplyMatrix(product, product.matrices + m * product.matrix, weights + j * matrix, panels, sums + m * sum, sources, targets);
      }
    }
    const left = panel * COLUMNS;
    storeTiles(product, sums, panels, left, min(left + panels * COLUMNS, product.columns), scratch);
  }
}

/** Row i of G g G^T, as six matrices of a panel. Row i of G is 1, p, p^2 for the point p; at infinity 0, 0, 1. */
function transformWeights(product: WinogradProduct, panel: usize, i: usize, to: usize, step: usize): void {
  const point: f32 = i == 1 ? 1 : i == 2 ? -1 : i == 3 ? 2 : i == 4 ? -2 : 0;
  const first = f32x4.splat(i == 5 ? 0 : 1);
  const second = f32x4.splat(point);
  const third = f32x4.splat(i == 5 ? 1 : point * point);
  const four = f32x4.splat(4);
  let g = product.panels + panel * product.rows * 9 * ROW;
  for (const end = to + product.rows * ROW; to < end; to += ROW) {
    for (let half: usize = 0; half < ROW; half += VECTOR) {
      const at = g + half;
      const g0 = combine(at, first, second, third);
      const g1 = combine(at + ROW, first, second, third);
      const g2 = combine(at + 2 * ROW, first, second, third);
      const even = f32x4.add(g0, g2);
      const evenFar = multiplyAdd(g2, four, g0);
      const oddFar = f32x4.add(g1, g1);
      const target = to + half;
      v128.store(target, g0);
      v128.store(target + step, f32x4.add(even, g1));
      v128.store(target + 2 * step, f32x4.sub(even, g1));
      v128.store(target + 3 * step, f32x4.add(evenFar, oddFar));
      v128.store(target + 4 * step, f32x4.sub(evenFar, oddFar));
      v128.store(target + 5 * step, g2);
    }
    g += 9 * ROW;
  }
}

/** The sum of a column of g with these factors. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function combine(g: usize, first: v128, second: v128, third: v128): v128 {
  const sum = multiplyAdd(v128.load(g, 3 * ROW), second, f32x4.mul(v128.load(g), first));
  return multiplyAdd(v128.load(g, 6 * ROW), third, sum);
}

/** sums[tile, column] = sum over channels of x[tile, channel] w[channel, column], for all tiles of the block. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function multiplyMatrix(
  product: WinogradProduct,
  x: usize,
  w: usize,
  panels: usize,
  sums: usize,
  sources: usize,
  targets: usize,
): void {
  const pieces = (product.tiles + PIXELS - 1) / PIXELS;
  for (let piece: usize = 0; piece < pieces; piece++) {
    const p = (product.tiles * piece) / pieces;
    const height = (product.tiles * (piece + 1)) / pieces - p;
    multiplyTiles(height, sources + 4 * p, targets + 4 * p, x, 1, 0, 1, 0, product.rows, w, panels, sums, 0, 0, false);
  }
}

/** Channels `left` to `right` of y: A^T m A of the sums [6][6][tile][panel][8]. */
function storeTiles(
  product: WinogradProduct,
  sums: usize,
  panels: usize,
  left: usize,
  right: usize,
  half: usize,
): void {
  const pixel = 4 * product.columns;
  const line = product.width * pixel;
  const matrix = product.tiles * panels * ROW;
  const row = half + VECTOR * WINDOW * TILE;
  const least = f32x4.splat(product.relu ? 0 : -Infinity);
  for (let tile: usize = 0; tile < product.tiles; tile++) {
    const place = product.firstTile + tile;
    const tileRow = place / product.tileColumns;
    const top = (tileRow % product.tileRows) * TILE;
    const side = (place % product.tileColumns) * TILE;
    const height = min(TILE, product.height - top);
    const width = min(TILE, product.width - side);
    const first = ((tileRow / product.tileRows) * product.height + top) * line + side * pixel;
    for (let c = 4 * left; c < 4 * right; c += VECTOR) {
      const from = sums + tile * panels * ROW + (c - 4 * left);
      const bias = product.bias ? v128.load(product.bias + c) : f32x4.splat(0);
      for (let j: usize = 0; j < WINDOW; j++) {
        transformOutput(from + j * matrix, WINDOW * matrix, half + j * VECTOR, WINDOW * VECTOR);
      }
      for (let i: usize = 0; i < height; i++) {
        transformOutput(half + i * WINDOW * VECTOR, VECTOR, row, VECTOR);
        const to = first + i * line + c;
        for (let j: usize = 0; j < width; j++) {
          let value = f32x4.add(v128.load(row + j * VECTOR), bias);
          if (product.residual) value = f32x4.add(value, v128.load(product.residual + to + j * pixel));
          // Lets a NaN come through: it is not less.
          v128.store(product.y + to + j * pixel, f32x4.pmax(value, least));
        }
      }
    }
  }
}

/*
 * 3x3 convolutions by minimal filtering, F(4x4, 3x3): each 4 x 4 pixels of the result need 36 products for each pair of
 * channels in place of 144 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016).
 *
 *   y = A^T [ sum over channels of (G g G^T) . (B^T d B) ] A,   with d the 6 x 6 values below a tile of y
 *
 * The weights G g G^T are made once. B^T d B of all tiles are 36 matrices of tiles by channels, which `gemm` multiplies.
 * Channels are done four at a time. All distances are in bytes.
 */
import { VECTOR } from '../core/vector.as';
import { COLUMNS } from '../matmul/gemm.as';

/** Pixels of a tile of the result, and of what it is computed from, along an axis. */
const TILE: usize = 4;
const WINDOW: usize = 6;

// @ts-ignore: a decorator of AssemblyScript
@inline
function times(a: v128, factor: f32): v128 {
  return f32x4.mul(a, f32x4.splat(factor));
}

/** Weights g0, g1, g2 become G g: six vectors, `step` apart. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function transformWeights(g0: v128, g1: v128, g2: v128, to: usize, step: usize): void {
  const outer = times(f32x4.add(g0, g2), -1.0 / 6);
  const middle = times(g1, 1.0 / 6);
  const far = f32x4.add(times(g0, 1.0 / 24), times(g2, 1.0 / 6));
  const half = times(g1, 1.0 / 12);
  v128.store(to, times(g0, 0.25));
  v128.store(to + step, f32x4.sub(outer, middle));
  v128.store(to + 2 * step, f32x4.add(outer, middle));
  v128.store(to + 3 * step, f32x4.add(far, half));
  v128.store(to + 4 * step, f32x4.sub(far, half));
  v128.store(to + 5 * step, g2);
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
  const near = f32x4.add(m1, m2);
  const nearOdd = f32x4.sub(m1, m2);
  const far = f32x4.add(m3, m4);
  const farOdd = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(f32x4.add(v128.load(m), near), far));
  v128.store(to + step, f32x4.add(nearOdd, times(farOdd, 2)));
  v128.store(to + 2 * step, f32x4.add(near, times(far, 4)));
  v128.store(to + 3 * step, f32x4.add(f32x4.add(nearOdd, times(farOdd, 8)), v128.load(m + 5 * from)));
}

// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class WinogradWeights {
  w: usize;
  /** From tap to tap, downwards and to the right. */
  down: usize;
  across: usize;
  rows: usize;
  rowStep: usize;
  /** A multiple of 4. */
  columns: usize;
  columnStep: usize;
  /** 36 matrices as panels: [6][6][panel][r][8]. */
  panels: usize;
  matrix: usize;
}

/** Four values, `step` apart. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function gather(at: usize, step: usize): v128 {
  let values = v128.load32_zero(at);
  values = v128.load_lane<f32>(at + step, values, 1);
  values = v128.load_lane<f32>(at + 2 * step, values, 2);
  return v128.load_lane<f32>(at + 3 * step, values, 3);
}

/** Panels `begin` to `end` of each matrix. */
export function winogradWeights(job: usize, begin: usize, end: usize, scratch: usize): void {
  const weights = changetype<WinogradWeights>(job);
  const across = weights.across;
  const down = weights.down;
  const step = weights.columnStep;
  for (let panel = begin; panel < end; panel++) {
    for (let r: usize = 0; r < weights.rows; r++) {
      const to = weights.panels + (panel * weights.rows + r) * 4 * COLUMNS;
      for (let c: usize = 0; c < COLUMNS; c += 4) {
        const column = panel * COLUMNS + c;
        const filled = column < weights.columns;
        const g = weights.w + r * weights.rowStep + (filled ? column : 0) * step;
        for (let j: usize = 0; j < 3; j++) {
          const at = g + j * across;
          const to = scratch + j * VECTOR;
          transformWeights(gather(at, step), gather(at + down, step), gather(at + 2 * down, step), to, 3 * VECTOR);
        }
        for (let i: usize = 0; i < WINDOW; i++) {
          const row = scratch + i * 3 * VECTOR;
          const zero = f32x4.splat(0);
          const g0 = filled ? v128.load(row) : zero;
          const g1 = filled ? v128.load(row, VECTOR) : zero;
          const g2 = filled ? v128.load(row, 2 * VECTOR) : zero;
          transformWeights(g0, g1, g2, to + i * WINDOW * weights.matrix + 4 * c, weights.matrix);
        }
      }
    }
  }
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
class WinogradOutput {
  /** [6][6][tile][channel] */
  matrices: usize;
  matrix: usize;
  y: usize;
  height: usize;
  width: usize;
  pixel: usize;
  tileRows: usize;
  tileColumns: usize;
  firstTile: usize;
  /** 0 where there is none. */
  bias: usize;
  /** 0 where there is none; it lies as y does. */
  residual: usize;
  relu: usize;
}

/** Tiles `begin` to `end` of the block. */
export function winogradOutput(job: usize, begin: usize, end: usize, scratch: usize): void {
  const output = changetype<WinogradOutput>(job);
  const pixel = output.pixel;
  const line = output.width * pixel;
  const half = scratch;
  const row = half + VECTOR * WINDOW * TILE;
  const least = f32x4.splat(output.relu ? 0 : -Infinity);
  for (let tile = begin; tile < end; tile++) {
    const place = output.firstTile + tile;
    const tileRow = place / output.tileColumns;
    const top = (tileRow % output.tileRows) * TILE;
    const left = (place % output.tileColumns) * TILE;
    const height = min(TILE, output.height - top);
    const width = min(TILE, output.width - left);
    const first = ((tileRow / output.tileRows) * output.height + top) * line + left * pixel;
    const from = output.matrices + tile * pixel;
    for (let c: usize = 0; c < pixel; c += VECTOR) {
      const bias = output.bias ? v128.load(output.bias + c) : f32x4.splat(0);
      for (let j: usize = 0; j < WINDOW; j++) {
        transformOutput(from + j * output.matrix + c, WINDOW * output.matrix, half + j * VECTOR, WINDOW * VECTOR);
      }
      for (let i: usize = 0; i < height; i++) {
        transformOutput(half + i * WINDOW * VECTOR, VECTOR, row, VECTOR);
        const to = first + i * line + c;
        for (let j: usize = 0; j < width; j++) {
          let value = f32x4.add(v128.load(row + j * VECTOR), bias);
          if (output.residual) value = f32x4.add(value, v128.load(output.residual + to + j * pixel));
          // Lets a NaN come through: it is not less.
          v128.store(output.y + to + j * pixel, f32x4.pmax(value, least));
        }
      }
    }
  }
}

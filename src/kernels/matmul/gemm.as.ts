/*
 * The matrix product behind convolutions, their gradients and `matmul`, for each group g:
 *
 *   y[p, c] = act(bias[c] + residual[p, c] + sum over o, i, l of x[at(p) + o*outerStep + i*innerStep + l] * w[o, i, l, c])
 *
 * No patches are copied (no im2col): pixel p reads its window at at(p), in pieces of `length` values that follow each
 * other. Pixels lie on a grid of images, rows and columns, both in x and in y. The weights come in panels of 8 columns,
 * [panel][o][i][l][8], zeros filling up the last one. Tile: 6 pixels x 8 columns are summed in 12 vector registers.
 */
import { tile4, tile5, tile6 } from './tiles.generated.as';
import { VECTOR } from './vector.as';

/** Pixels of a tile: with more, the sums and what a step loads do not fit into the 16 registers of x86. */
const PIXELS: usize = ASC_FEATURE_RELAXED_SIMD ? 6 : 5;
/** Columns of a panel and of a tile. */
const COLUMNS: usize = 8;
/** Bytes of a row of a panel. */
const ROW: usize = 4 * COLUMNS;
/** Bytes of a row of a tile of double precision. */
const SUMS: usize = 8 * COLUMNS;

/** All distances are in bytes. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Gemm {
  x: usize;
  xGroup: usize;
  xImage: usize;
  xRow: usize;
  xColumn: usize;
  y: usize;
  yGroup: usize;
  yImage: usize;
  yRow: usize;
  yColumn: usize;
  /** Rows and columns of an image. */
  height: usize;
  width: usize;
  /** Of all images. */
  pixels: usize;
  outer: usize;
  outerStep: usize;
  inner: usize;
  innerStep: usize;
  length: usize;
  w: usize;
  wGroup: usize;
  panel: usize;
  /** Of a group. */
  columns: usize;
  /** 0 where there is none. */
  bias: usize;
  /** 0 where there is none; it lies as y does. */
  residual: usize;
  relu: usize;
  /** Products that are added in single precision before their sum is added to the others' in double; 0 for all. */
  block: usize;
  /** A unit is a range of pixels and a range of panels; the units of a range of panels follow each other. */
  unitPixels: usize;
  pixelUnits: usize;
  unitPanels: usize;
  panelUnits: usize;
}

/** Units `begin` to `end`; `scratch` takes where the pixels of a unit lie, and a tile in double precision. */
export function gemm(job: usize, begin: usize, end: usize, scratch: usize): void {
  const product = changetype<Gemm>(job);
  const most = (product.unitPixels + PIXELS) * 4;
  const sources = scratch;
  const targets = sources + most;
  const tile = targets + most;
  for (let unit = begin; unit < end; unit++) {
    const rest = unit / product.pixelUnits;
    const group = rest / product.panelUnits;
    const first = (unit % product.pixelUnits) * product.unitPixels;
    const count = min(product.unitPixels, product.pixels - first);
    locate(product, first, count, sources, targets);
    const firstColumn = (rest % product.panelUnits) * product.unitPanels * COLUMNS;
    const lastColumn = min(firstColumn + product.unitPanels * COLUMNS, product.columns);
    // Of nearly equal height: 49 pixels are four tiles of 6 and five of 5, not eight of 6 and one of 1.
    const tiles = (count + PIXELS - 1) / PIXELS;
    for (let t: usize = 0; t < tiles; t++) {
      const p = (count * t) / tiles;
      const height = (count * (t + 1)) / tiles - p;
      for (let c = firstColumn; c < lastColumn; c += COLUMNS) {
        finishTile(product, group, c, sources + 4 * p, targets + 4 * p, height, tile);
      }
    }
  }
}

/** Where pixels lie in x and in y. The last one is repeated until a tile is full. */
function locate(product: Gemm, first: usize, count: usize, sources: usize, targets: usize): void {
  let column = first % product.width;
  let row = (first / product.width) % product.height;
  let image = first / product.width / product.height;
  let source: usize = 0;
  let target: usize = 0;
  for (let p: usize = 0; p < 4 * (count + PIXELS); p += 4) {
    if (p < 4 * count) {
      source = image * product.xImage + row * product.xRow + column * product.xColumn;
      target = image * product.yImage + row * product.yRow + column * product.yColumn;
      if (++column == product.width) {
        column = 0;
        if (++row == product.height) {
          row = 0;
          image++;
        }
      }
    }
    store<u32>(sources + p, <u32>source);
    store<u32>(targets + p, <u32>target);
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function finishTile(
  product: Gemm,
  group: usize,
  column: usize,
  sources: usize,
  targets: usize,
  height: usize,
  tile: usize,
): void {
  const x = product.x + group * product.xGroup;
  const w = product.w + group * product.wGroup + (column / COLUMNS) * product.panel;
  const shift = group * product.yGroup + 4 * column;
  const y = product.y + shift;
  const bias = product.bias ? product.bias + 4 * (group * product.columns + column) : 0;
  const residual = product.residual ? product.residual + shift : 0;
  const relu = product.relu != 0;
  const width = min(COLUMNS, product.columns - column);
  if (product.block == 0 && width == COLUMNS) {
    // prettier-ignore
    multiplyTile(height, sources, targets, x, product.outer, product.outerStep, product.inner, product.innerStep, product.length, w, y, bias, residual, relu);
    return;
  }
  sumTile(product, height, sources, x, w, tile);
  for (let i: usize = 0; i < height; i++) {
    const to = load<u32>(targets + 4 * i);
    finishRow(tile + i * SUMS, y + to, width, bias, residual ? residual + to : 0, relu);
  }
}

/**
 * Stores a tile of at least `height` rows. Those beyond it are pixels of the next tile, which get what they get there too.
 * Row r reads at x + sources[r], and goes to y + targets[r].
 */
// @ts-ignore: a decorator of AssemblyScript
@inline
function multiplyTile(
  height: usize,
  sources: usize,
  targets: usize,
  x: usize,
  outer: usize,
  outerStep: usize,
  inner: usize,
  innerStep: usize,
  length: usize,
  w: usize,
  y: usize,
  bias: usize,
  residual: usize,
  relu: bool,
): void {
  // prettier-ignore
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (height == 6) tile6(sources, targets, x, outer, outerStep, inner, innerStep, length, w, y, bias, residual, relu);
    else tile5(sources, targets, x, outer, outerStep, inner, innerStep, length, w, y, bias, residual, relu);
  } else {
    if (height == 5) tile5(sources, targets, x, outer, outerStep, inner, innerStep, length, w, y, bias, residual, relu);
    else tile4(sources, targets, x, outer, outerStep, inner, innerStep, length, w, y, bias, residual, relu);
  }
}

/** The sums of a tile in double precision: blocks of products are added in single precision, then these sums in double. */
function sumTile(product: Gemm, height: usize, sources: usize, x: usize, w: usize, tile: usize): void {
  const block = product.block;
  const rows = tile + PIXELS * SUMS;
  const places = rows + PIXELS * ROW;
  for (let i: usize = 0; i < PIXELS; i++) store<u32>(places + 4 * i, <u32>(i * ROW));
  memory.fill(tile, 0, PIXELS * SUMS);
  if (block == 0) {
    // prettier-ignore
    multiplyTile(height, sources, places, x, product.outer, product.outerStep, product.inner, product.innerStep, product.length, w, rows, 0, 0, false);
    addRows(tile, rows);
    return;
  }
  for (let o: usize = 0; o < product.outer; o++) {
    for (let i: usize = 0; i < product.inner; i++) {
      const from = x + o * product.outerStep + i * product.innerStep;
      for (let done: usize = 0; done < product.length; done += block) {
        const length = min(block, product.length - done);
        multiplyTile(height, sources, places, from + 4 * done, 1, 0, 1, 0, length, w, rows, 0, 0, false);
        addRows(tile, rows);
        w += length * ROW;
      }
    }
  }
}

/** Adds a tile of single precision to one of double precision. */
function addRows(tile: usize, rows: usize): void {
  for (let i: usize = 0; i < PIXELS * ROW; i += VECTOR) {
    const sums = v128.load(rows + i);
    const to = tile + 2 * i;
    v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(sums)));
    v128.store(to, f64x2.add(v128.load(to, VECTOR), f64x2.promote_low_f32x4(upper(sums))), VECTOR);
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function upper(v: v128): v128 {
  return v128.shuffle<f32>(v, v, 2, 3, 2, 3);
}

/** target[c] = act(sums[c] + bias[c] + residual[c]) for a row of a tile; of the last panel fewer columns are stored. */
function finishRow(sums: usize, target: usize, columns: usize, bias: usize, residual: usize, relu: bool): void {
  for (let c: usize = 0; c < 4 * columns; c += 4) {
    let value = load<f64>(sums + 2 * c);
    if (bias) value += load<f32>(bias + c);
    if (residual) value += load<f32>(residual + c);
    // `max` lets a NaN come through.
    store<f32>(target + c, <f32>(relu ? max<f64>(value, 0) : value));
  }
}

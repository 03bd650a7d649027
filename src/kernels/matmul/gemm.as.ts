/*
 * The matrix product behind convolutions, their gradients and `matmul`, for each group g:
 *
 *   y[p, c] = act(bias[c] + residual[p, c] + sum over o, i, l of x[at(p) + o*outerStep + i*innerStep + l] * w[o, i, l, c])
 *
 * No patches are copied (no im2col): pixel p reads its window at at(p), in pieces of `length` values that follow each
 * other. Pixels lie on a grid of images, rows and columns, both in x and in y. The weights come in panels of 8 columns,
 * [panel][o][i][l][8], zeros filling up the last one. Tile: 6 pixels x 8 columns are summed in 12 vector registers.
 */
import { tiles4, tiles5, tiles6 } from './tiles.generated.as';
import { narrow, upper } from '../core/double.as';
import { VECTOR } from '../core/vector.as';

/** Pixels of a tile: with more, the sums and what a step loads do not fit into the 16 registers of x86. */
export const PIXELS: usize = ASC_FEATURE_RELAXED_SIMD ? 6 : 5;
/** Columns of a panel and of a tile. */
export const COLUMNS: usize = 8;
/** Bytes of a row of a panel. */
export const ROW: usize = 4 * COLUMNS;
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
      multiplyRows(product, group, firstColumn, lastColumn, sources + 4 * p, targets + 4 * p, height, tile);
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

/** The tiles of some rows: whole ones in one call, unless double precision is asked for, and what is left one by one. */
function multiplyRows(
  product: Gemm,
  group: usize,
  firstColumn: usize,
  lastColumn: usize,
  sources: usize,
  targets: usize,
  height: usize,
  tile: usize,
): void {
  const x = product.x + group * product.xGroup;
  const w = product.w + group * product.wGroup;
  const y = product.y + group * product.yGroup;
  const bias = product.bias ? product.bias + 4 * group * product.columns : 0;
  const residual = product.residual ? product.residual + group * product.yGroup : 0;
  const relu = product.relu != 0;
  let column = firstColumn;
  const panels = product.block ? 0 : (lastColumn - column) / COLUMNS;
  if (panels > 0) {
    const shift = 4 * column;
    multiplyTiles(height, sources, targets, x, product.outer, product.outerStep, product.inner, product.innerStep, product.length, w + (column / COLUMNS) * product.panel, panels, y + shift, bias ? bias + shift : 0, residual ? residual + shift : 0, relu);
    column += panels * COLUMNS;
  }
  for (; column < lastColumn; column += COLUMNS) {
    const shift = 4 * column;
    sumTile(product, height, sources, x, w + (column / COLUMNS) * product.panel, tile);
    const width = min(COLUMNS, lastColumn - column);
    for (let i: usize = 0; i < height; i++) {
      const to = load<u32>(targets + 4 * i) + shift;
      finishRow(tile + i * ROW, y + to, width, bias ? bias + shift : 0, residual ? residual + to : 0, relu);
    }
  }
}

/**
 * Stores tiles of at least `height` rows. Those beyond it are pixels of the next tiles, which get what they get there too.
 * Row r reads at x + sources[r], and goes to y + targets[r].
 */
// @ts-ignore: a decorator of AssemblyScript
@inline
export function multiplyTiles(
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
  panels: usize,
  y: usize,
  bias: usize,
  residual: usize,
  relu: bool,
): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (height == 6) tiles6(sources, targets, x, outer, outerStep, inner, innerStep, length, w, panels, y, bias, residual, relu);
    else if (height < 5) tiles4(sources, targets, x, outer, outerStep, inner, innerStep, length, w, panels, y, bias, residual, relu);
    else tiles5(sources, targets, x, outer, outerStep, inner, innerStep, length, w, panels, y, bias, residual, relu);
  } else {
    if (height == 5) tiles5(sources, targets, x, outer, outerStep, inner, innerStep, length, w, panels, y, bias, residual, relu);
    else tiles4(sources, targets, x, outer, outerStep, inner, innerStep, length, w, panels, y, bias, residual, relu);
  }
}

/**
 * tile[row][8] = the sums alone. In blocks, products are added in single precision, and the sums of blocks in double, which
 * lie behind the tile, as do the places of its rows.
 */
function sumTile(product: Gemm, height: usize, sources: usize, x: usize, w: usize, tile: usize): void {
  const places = tile + PIXELS * ROW;
  const sums = places + PIXELS * ROW;
  for (let i: usize = 0; i < PIXELS; i++) store<u32>(places + 4 * i, <u32>(i * ROW));
  const block = product.block;
  if (block == 0) {
    multiplyTiles(height, sources, places, x, product.outer, product.outerStep, product.inner, product.innerStep, product.length, w, 1, tile, 0, 0, false);
    return;
  }
  memory.fill(sums, 0, PIXELS * SUMS);
  for (let o: usize = 0; o < product.outer; o++) {
    for (let i: usize = 0; i < product.inner; i++) {
      const from = x + o * product.outerStep + i * product.innerStep;
      for (let done: usize = 0; done < product.length; done += block) {
        const length = min(block, product.length - done);
        multiplyTiles(height, sources, places, from + 4 * done, 1, 0, 1, 0, length, w, 1, tile, 0, 0, false);
        addTile(sums, tile);
        w += length * ROW;
      }
    }
  }
  for (let i: usize = 0; i < PIXELS * ROW; i += VECTOR) {
    v128.store(tile + i, narrow(v128.load(sums + 2 * i), v128.load(sums + 2 * i, VECTOR)));
  }
}

/** Adds a tile to sums in double precision. */
function addTile(sums: usize, tile: usize): void {
  for (let i: usize = 0; i < PIXELS * ROW; i += VECTOR) {
    const values = v128.load(tile + i);
    const to = sums + 2 * i;
    v128.store(to, f64x2.add(v128.load(to), f64x2.promote_low_f32x4(values)));
    v128.store(to, f64x2.add(v128.load(to, VECTOR), f64x2.promote_low_f32x4(upper(values))), VECTOR);
  }
}

/** target[c] = act(sums[c] + bias[c] + residual[c]) for a row of a tile; of the last panel fewer columns are stored. */
function finishRow(sums: usize, target: usize, columns: usize, bias: usize, residual: usize, relu: bool): void {
  const vectors = (columns - (columns % 4)) * 4;
  for (let c: usize = 0; c < vectors; c += VECTOR) {
    let value = v128.load(sums + c);
    if (bias) value = f32x4.add(value, v128.load(bias + c));
    if (residual) value = f32x4.add(value, v128.load(residual + c));
    // A NaN comes through: it is not less than 0.
    v128.store(target + c, relu ? f32x4.pmax(value, f32x4.splat(0)) : value);
  }
  for (let c = vectors; c < columns * 4; c += 4) {
    let value = load<f32>(sums + c);
    if (bias) value += load<f32>(bias + c);
    if (residual) value += load<f32>(residual + c);
    store<f32>(target + c, relu ? max<f32>(value, 0) : value);
  }
}

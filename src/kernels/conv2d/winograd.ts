import { type Engine, FLOAT } from '../cpu/wasm/call.ts';
import { SCRATCH_BYTES } from '../cpu/wasm/kernels.ts';
import { panelBytes, panelsOf } from '../matmul/gemm.ts';
import type { GatherShape } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { phases } from './phases.ts';
import { packWeight } from './source.ts';

/** Pixels of a tile of the result along an axis, and of what it is computed from, see winograd.as.ts. */
const TILE = 4;
const WINDOW = 6;
const MATRICES = WINDOW * WINDOW;
/** Bytes of the matrices of a block of tiles, which a cache keeps. */
const BLOCK_BYTES = 3 << 20;
/** Bytes of the matrices of weights of a unit, which a first-level cache keeps, where it takes several panels. */
const W_BYTES = 1 << 15;
/** Units that threads may share. */
const UNITS = 4;
/** Tables of a tile, and the sums of a tile and a panel, in the scratch memory. */
const TABLE_BYTES = 2 * FLOAT;
const SUM_BYTES = panelBytes(MATRICES);
/** What the scratch memory has room for, apart from the rest that is of the same size for all. */
const ROOM = SCRATCH_BYTES - 1024;
/** With more there is little room for tiles. */
const MOST_ROWS = 2048;

/** Whether `winogradWasm` can do this one. */
export function isWinograd({ groups, rows, columns, kernel, stride, dilation }: GatherShape): boolean {
  return (
    groups === 1 &&
    rows % 4 === 0 &&
    columns % 4 === 0 &&
    ([0, 1] as const).every((axis) => kernel[axis] === 3 && stride[axis] === 1 && dilation[axis] === 1)
  );
}

/** Whether that is worth it: from 16 channels on, where tiles fill the matrices. */
export function winogradWins({ batch, rows, columns, target }: GatherShape): boolean {
  return Math.min(rows, columns) >= 16 && rows <= MOST_ROWS && batch * target[0] * target[1] >= 7 * 7;
}

/** 3x3 convolutions and input gradients as `winograd.as.ts` describes. */
export function winogradWasm(conv: GatherShape, operands: GatherOperands, engine: Engine): void {
  const { batch, rows, columns, source, target } = conv;
  const { source: x, y, bias, residual, relu } = operands;
  const { run, workspace } = engine;
  const [[down], [across]] = [phases(conv, 0), phases(conv, 1)];
  if (!down || !across) return;
  const panels = packWeight(conv, { down, across }, operands.weight, engine, 'tap');

  const [tileRows, tileColumns] = [Math.ceil(target[0] / TILE), Math.ceil(target[1] / TILE)];
  const tiles = batch * tileRows * tileColumns;
  const block = blockOf(tiles, rows);
  const matrix = matrixBytes(block, rows);
  const matrices = workspace.allocate(MATRICES * matrix);
  const unitPanels = panelsOfUnit(block, rows, columns);
  for (let firstTile = 0; firstTile < tiles; firstTile += block) {
    const count = Math.min(block, tiles - firstTile);
    const input = {
      x: x.address,
      height: source[0],
      width: source[1],
      pixel: FLOAT * rows,
      top: down.taps.offset,
      left: across.taps.offset,
      tileRows,
      tileColumns,
      firstTile,
      matrices,
      matrix,
    };
    run('winogradInput', input, count);
    const product = {
      matrices,
      matrix,
      rows,
      panels,
      columns,
      unitPanels,
      tiles: count,
      firstTile,
      tileRows,
      tileColumns,
      y: y.address,
      height: target[0],
      width: target[1],
      bias: bias?.address ?? 0,
      residual: residual?.address ?? 0,
      relu: Number(relu),
    };
    run('winogradProduct', product, Math.ceil(panelsOf(columns) / unitPanels));
  }
}

/** Tiles of a block: blocks are of nearly equal size. */
function blockOf(tiles: number, rows: number): number {
  const most = Math.min(
    BLOCK_BYTES / (MATRICES * FLOAT * rows),
    (ROOM - weightBytes(rows)) / (SUM_BYTES + TABLE_BYTES),
  );
  return Math.ceil(tiles / Math.ceil(tiles / most));
}

function panelsOfUnit(block: number, rows: number, columns: number): number {
  const weights = weightBytes(rows);
  const most = (ROOM - TABLE_BYTES * block) / (weights + SUM_BYTES * block);
  return Math.max(1, Math.floor(Math.min(most, W_BYTES / weights, panelsOf(columns) / UNITS)));
}

/** Bytes of the matrices of weights of a panel that are made at a time. */
function weightBytes(rows: number): number {
  return WINDOW * panelBytes(rows);
}

/**
 * The distance between the matrices of a block of tiles. It is an odd number of cache lines, so that the 36 vectors of a
 * tile, which are written together, do not fight for the same few places of the cache.
 */
function matrixBytes(tiles: number, channels: number): number {
  const LINE = 64;
  return LINE * (Math.ceil((FLOAT * tiles * channels) / LINE) | 1);
}

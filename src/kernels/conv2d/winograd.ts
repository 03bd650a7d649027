import type { WasmOperand } from '../cpu/wasm/call.ts';
import { type Engine, FLOAT } from '../cpu/wasm/call.ts';
import { panelBytes, panelsOf, runGemm } from '../matmul/gemm.ts';
import type { GatherConvolution } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { type Phase, phases } from './phases.ts';
import { placeWeight } from './source.ts';

/** Pixels of a tile of the result along an axis, see winograd.as.ts. */
const TILE = 4;
const MATRICES = 36;
/** Bytes of the matrices of a block of tiles, which a second-level cache keeps for the most part. */
const BLOCK_BYTES = 3 << 19;

/** Whether `winogradWasm` can do this one. */
export function isWinograd({ groups, rows, columns, kernel, stride, dilation }: GatherConvolution): boolean {
  return (
    groups === 1 &&
    rows % 4 === 0 &&
    columns % 4 === 0 &&
    ([0, 1] as const).every((axis) => kernel[axis] === 3 && stride[axis] === 1 && dilation[axis] === 1)
  );
}

/** Weights of 128 by 128 channels; those of ResNet-50's later stages would take 42 MB more, of 102. */
const MOST_WEIGHTS = 128 * 128;

/**
 * Whether that is worth it. It is faster from 16 channels on; but the transformed weights take four times the memory, which
 * has to be filled before a first run, and they are most of the traffic where there are few pixels.
 */
export function winogradWins({ batch, rows, columns, target }: GatherConvolution): boolean {
  return Math.min(rows, columns) >= 16 && rows * columns <= MOST_WEIGHTS && batch * target[0] * target[1] >= 14 * 14;
}

/** 3x3 convolutions and input gradients as `winograd.as.ts` describes. */
export function winogradWasm(conv: GatherConvolution, operands: GatherOperands, engine: Engine): void {
  const { batch, rows, columns, source, target } = conv;
  const { source: x, y, bias, residual, relu } = operands;
  const { run, workspace } = engine;
  const [[down], [across]] = [phases(conv, 0), phases(conv, 1)];
  if (!down || !across) return;
  const panels = packWeight(conv, down, across, operands.weight, engine);

  const [tileRows, tileColumns] = [Math.ceil(target[0] / TILE), Math.ceil(target[1] / TILE)];
  const tiles = batch * tileRows * tileColumns;
  const blocks = Math.ceil((tiles * MATRICES * FLOAT * (rows + columns)) / BLOCK_BYTES);
  const block = Math.ceil(tiles / blocks);
  const [inputs, inputMatrix] = matrices(block, rows, workspace);
  const [outputs, outputMatrix] = matrices(block, columns, workspace);
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
      matrices: inputs,
      matrix: inputMatrix,
    };
    run('winogradInput', input, count);
    const row = { image: 0, row: 0 };
    runGemm(
      {
        groups: MATRICES,
        x: { address: inputs, group: inputMatrix, column: FLOAT * rows, ...row },
        y: { address: outputs, group: outputMatrix, column: FLOAT * columns, ...row },
        ...{ height: 1, width: count, pixels: count },
        ...{ outer: 1, outerStep: 0, inner: 1, innerStep: 0, length: rows },
        panels,
        columns,
      },
      engine,
    );
    const output = {
      matrices: outputs,
      matrix: outputMatrix,
      y: y.address,
      height: target[0],
      width: target[1],
      pixel: FLOAT * columns,
      tileRows,
      tileColumns,
      firstTile,
      bias: bias?.address ?? 0,
      residual: residual?.address ?? 0,
      relu: Number(relu),
    };
    run('winogradOutput', output, count);
  }
}

/**
 * Room for the matrices of a block of tiles, and the distance between them in bytes. It is an odd number of cache lines, so
 * that the 36 vectors of a tile, which are written together, do not fight for the same few places of the cache.
 */
function matrices(tiles: number, channels: number, workspace: Engine['workspace']) {
  const LINE = 64;
  const matrix = LINE * (Math.ceil((FLOAT * tiles * channels) / LINE) | 1);
  return [workspace.allocate(MATRICES * matrix), matrix] as const;
}

function packWeight(
  conv: GatherConvolution,
  down: Phase,
  across: Phase,
  weight: WasmOperand,
  { run, workspace }: Engine,
): number {
  const { rows, columns } = conv;
  const panels = panelsOf(columns);
  const matrix = panels * panelBytes(rows);
  const { first, ...steps } = placeWeight(conv, { down, across }, weight);
  const key = `winograd ${first} ${rows} ${columns} ${Object.values(steps)}`;
  return workspace.pack(weight, key, MATRICES * matrix, (to) => {
    const job = {
      w: weight.address + first,
      down: steps.down,
      across: steps.across,
      rows,
      rowStep: steps.rowStep,
      columns,
      columnStep: steps.columnStep,
      panels: to,
      matrix,
    };
    run('winogradWeights', job, panels);
  });
}

import type { TensorSpec } from '../../tensor/layout.ts';
import { at } from '../../tensor/shape.ts';
import type { IterationSpace } from '../core/iteration.ts';
import type { WasmOperand } from '../cpu/wasm/call.ts';
import { type Engine, FLOAT } from '../cpu/wasm/call.ts';
import { panelBytes, panelsOf, runGemm } from './gemm.ts';
import { lastTwo } from './last-two.ts';

/** Rows that one unit of `toPlanes` makes contiguous. */
const UNIT_ROWS = 16;

interface Operands {
  readonly y: WasmOperand;
  readonly a: WasmOperand;
  readonly b: WasmOperand;
}

/**
 * y = a b for each matrix of a batch, by `gemm`: b is put into panels, which are kept where b is constant, and a is
 * transposed where its rows are not contiguous.
 *
 * @param batch the loops over matrices of y, a and b; the innermost one is done in one run
 * @returns false where a has strides that neither it nor its transpose could be read by
 */
export function matmulWasm(batch: IterationSpace, { y, a, b }: Operands, engine: Engine): boolean {
  const [rows, columns] = lastTwo(y.shape);
  const depth = at(b.shape, b.shape.length - 2);
  const [rowStride, columnStride] = lastTwo(a.strides);
  if (columnStride !== 1 && rowStride !== 1 && depth > 1) return false;

  const count = batch.sizes.at(-1) ?? 1;
  const [stepY, stepA, stepB] = innermostSteps(batch);
  // Matrices that share one b are rows of one product.
  const shared = stepB === 0;
  const groups = shared ? 1 : count;
  for (const [toY, fromA, fromB] of outerOffsets(batch)) {
    const panels = packB(b, { from: fromB, groups, step: stepB, depth, columns }, engine);
    const contiguous = columnStride === 1 || depth === 1;
    const rowsOfA = contiguous
      ? { address: a.address + FLOAT * fromA, matrix: FLOAT * stepA, row: FLOAT * rowStride }
      : transposeA(a, { from: fromA, count, step: stepA, depth, rows }, engine);
    const matrixY = FLOAT * stepY;
    runGemm(
      {
        groups,
        x: { address: rowsOfA.address, group: rowsOfA.matrix, image: rowsOfA.matrix, row: 0, column: rowsOfA.row },
        y: { address: y.address + FLOAT * toY, group: matrixY, image: matrixY, row: 0, column: FLOAT * columns },
        height: 1,
        width: rows,
        pixels: shared ? count * rows : rows,
        outer: 1,
        outerStep: 0,
        inner: 1,
        innerStep: 0,
        length: depth,
        panels,
        columns,
      },
      engine,
    );
  }
  return true;
}

/** From matrix to matrix in the innermost loop, for y, a and b. */
function innermostSteps({ strides }: IterationSpace): [number, number, number] {
  const step = (operand: number) => at(strides, operand).at(-1) ?? 0;
  return [step(0), step(1), step(2)];
}

/** Where y, a and b begin each time that the innermost loop does. */
function outerOffsets({ sizes, strides, offsets }: IterationSpace): [number, number, number][] {
  let places = [offsets];
  for (const [loop, size] of sizes.slice(0, -1).entries()) {
    const positions = Array.from({ length: size }, (_, i) => i);
    places = places.flatMap((place) =>
      positions.map((i) => place.map((offset, operand) => offset + i * at(at(strides, operand), loop))),
    );
  }
  return places.map((place) => [at(place, 0), at(place, 1), at(place, 2)]);
}

interface Matrices {
  readonly from: number;
  /** From matrix to matrix. */
  readonly step: number;
  readonly depth: number;
}

function packB(
  b: WasmOperand,
  { from, groups, step, depth, columns }: Matrices & { readonly groups: number; readonly columns: number },
  { run, workspace }: Engine,
): number {
  const [rowStride, columnStride] = lastTwo(b.strides);
  const panels = groups * panelsOf(columns);
  const layout = {
    group: FLOAT * step,
    outer: 1,
    outerStep: 0,
    inner: 1,
    innerStep: 0,
    rows: depth,
    rowStep: FLOAT * rowStride,
    columns,
    columnStep: FLOAT * columnStride,
  };
  return workspace.pack(b, `matmul ${groups} ${from} ${Object.values(layout)}`, panels * panelBytes(depth), (to) => {
    run('packPanels', { panels: to, w: b.address + FLOAT * from, ...layout }, panels);
  });
}

/** Rows of `count` matrices made contiguous: [row][matrix][column]. */
function transposeA(
  a: TensorSpec & { readonly address: number },
  { from, count, step, depth, rows }: Matrices & { readonly count: number; readonly rows: number },
  { run, workspace }: Engine,
) {
  const [, columnStride] = lastTwo(a.strides);
  const matrix = FLOAT * depth;
  const row = count * matrix;
  const address = workspace.allocate(rows * row);
  const job = {
    planes: address,
    plane: row,
    from: a.address + FLOAT * from,
    fromImage: FLOAT * step,
    fromRow: 0,
    fromColumn: FLOAT * columnStride,
    fromHeight: 1,
    fromWidth: depth,
    channels: rows,
    height: 1,
    width: depth,
    top: 0,
    left: 0,
    step: 1,
    unitChannels: UNIT_ROWS,
  };
  run('toPlanes', job, count * Math.ceil(rows / UNIT_ROWS));
  return { address, matrix, row };
}

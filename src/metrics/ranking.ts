import { at } from '../tensor/shape.ts';
import type { SaliencyMap } from './saliency-map.ts';
import type { TieRule } from './settings.ts';
import { meanOf } from './statistics.ts';

/** In which step each cell of a map is taken, the most salient ones first. */
export interface RankedMap {
  readonly height: number;
  readonly width: number;
  /** How many steps there are until all cells are taken. */
  readonly steps: number;
  /** For each cell, row-major: the step that takes it, from 1 on. */
  readonly stepOf: Float32Array;
  /** For each step: the mean saliency of the cells that it takes. */
  readonly saliency: Float64Array;
  /** How many cells share their value with another one: where there are any, the tie rule had a say in the order. */
  readonly tied: number;
}

/** Ranks the cells and deals them out to steps of floor(cells / `steps`) cells, at least 1 each. */
export function rank({ data, height, width }: SaliencyMap, steps: number, ties: TieRule): RankedMap {
  const cells = data.length;
  // NaN ranks before all numbers, and equal to itself.
  const value = (cell: number) => (Number.isNaN(data[cell]) ? Number.POSITIVE_INFINITY : at(data, cell));
  const direction = ties === 'first' ? 1 : -1;
  const order = Uint32Array.from({ length: cells }, (_, cell) => cell).sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    return x === y ? direction * (a - b) : y > x ? 1 : -1;
  });
  const perStep = Math.max(1, Math.floor(cells / steps));
  const count = Math.ceil(cells / perStep);
  const stepOf = new Float32Array(cells);
  for (const [position, cell] of order.entries()) stepOf[cell] = Math.floor(position / perStep) + 1;
  const saliency = Float64Array.from({ length: count }, (_, step) =>
    meanOf(Array.from(order.subarray(step * perStep, (step + 1) * perStep), (cell) => at(data, cell))),
  );
  let tied = 0;
  for (let i = 0; i < cells; i++) {
    const here = value(at(order, i));
    if ((i > 0 && value(at(order, i - 1)) === here) || (i + 1 < cells && value(at(order, i + 1)) === here)) tied++;
  }
  return { height, width, steps: count, stepOf, saliency, tied };
}

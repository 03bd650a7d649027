import type { TensorSpec } from '../../tensor/layout.ts';
import { at } from '../../tensor/shape.ts';
import type { WasmOperand } from '../cpu/wasm/call.ts';
import { type Engine, FLOAT } from '../cpu/wasm/call.ts';
import { panelBytes, panelsOf } from '../matmul/gemm.ts';
import { dims, type GatherShape } from './geometry.ts';
import { type Phase, phases, reach } from './phases.ts';

/** The source with as many zeros around it as the windows reach beyond it: [group][n][height][width][channel of the group]. */
interface Padded {
  readonly address: number;
  readonly height: number;
  readonly width: number;
  /** Bytes of a pixel of a group. */
  readonly pixel: number;
  /** Rows and columns of zeros before the first of the source. */
  readonly top: number;
  readonly left: number;
}

export interface PhasePair {
  readonly down: Phase;
  readonly across: Phase;
  readonly padded: Padded;
}

/**
 * The phases of a convolution over its padded source.
 * @param parts groups that are laid apart, or 1 where all channels stay beside each other
 */
export function eachPhase(conv: GatherShape, parts: number, source: WasmOperand, engine: Engine): PhasePair[] {
  const [vertical, horizontal] = [phases(conv, 0), phases(conv, 1)];
  const padded = padSource(conv, vertical, horizontal, parts, source, engine);
  return vertical.flatMap((down) => horizontal.map((across) => ({ down, across, padded })));
}

function padSource(
  conv: GatherShape,
  vertical: readonly Phase[],
  horizontal: readonly Phase[],
  parts: number,
  { address }: WasmOperand,
  { run, workspace }: Engine,
): Padded {
  const { batch, groups, rows, source } = conv;
  const [fromHeight, fromWidth] = source;
  const [top, bottom] = reach(vertical, fromHeight);
  const [left, right] = reach(horizontal, fromWidth);
  const [height, width] = [top + fromHeight + bottom, left + fromWidth + right];
  const all = FLOAT * groups * rows;
  const pixel = all / parts;
  const padded = { height, width, pixel, top, left };
  if (height === fromHeight && width === fromWidth && parts === 1) return { address, ...padded };

  const to = workspace.allocate(all * batch * height * width);
  const sizes = { fromHeight, fromWidth, toHeight: height, toWidth: width };
  const job = { to, from: address, images: batch, ...sizes, top, left, pixel, allGroups: all };
  run('pad', job, parts * batch * height);
  return { address: to, ...padded };
}

/** Where the windows of a phase read, where their taps lie and where their sums go: distances in bytes. */
export function placePhase({ batch, groups, columns, target }: GatherShape, { down, across, padded }: PhasePair) {
  const { height, width, pixel, top, left } = padded;
  const firstTap = (top + down.taps.offset) * width + left + across.taps.offset;
  const channels = FLOAT * groups * columns;
  return {
    x: {
      address: padded.address + pixel * firstTap,
      group: batch * height * width * pixel,
      image: height * width * pixel,
      row: down.stride * width * pixel,
      column: across.stride * pixel,
    },
    y: {
      group: FLOAT * columns,
      image: target[0] * target[1] * channels,
      row: down.step * target[1] * channels,
      column: across.step * channels,
    },
    /** From the start of y to its first pixel. */
    yOffset: (down.first * target[1] + across.first) * channels,
    outer: down.taps.count,
    outerStep: down.taps.offsetStep * width * pixel,
    inner: across.taps.count,
    innerStep: across.taps.offsetStep * pixel,
  };
}

/** Where the first weight of a phase lies, and how far apart taps, rows, columns and groups are, in bytes. */
export function placeWeight(
  { groups, transposed }: GatherShape,
  { down, across }: Pick<PhasePair, 'down' | 'across'>,
  { shape, strides, offset }: TensorSpec,
) {
  const [out, input, y, x] = dims(strides);
  const [rowStride, columnStride] = transposed ? [out, input] : [input, out];
  return {
    first: FLOAT * (offset + down.taps.tap * y + across.taps.tap * x),
    group: (FLOAT * out * at(shape, 0)) / groups,
    down: FLOAT * down.taps.tapStep * y,
    across: FLOAT * across.taps.tapStep * x,
    rowStep: FLOAT * rowStride,
    columnStep: FLOAT * columnStride,
  };
}

/**
 * The address of the weights of a phase as panels, wherever the weights lie: [group][panel][tap][row][8], or
 * [group][panel][row][tap][8] where the taps of a row are read together.
 */
export function packWeight(
  conv: GatherShape,
  pair: Pick<PhasePair, 'down' | 'across'>,
  weight: WasmOperand,
  { run, workspace }: Engine,
  innermost: 'row' | 'tap' = 'row',
): number {
  const { groups, columns } = conv;
  const { first, group, columnStep, ...steps } = placeWeight(conv, pair, weight);
  const down = { count: pair.down.taps.count, step: steps.down };
  const across = { count: pair.across.taps.count, step: steps.across };
  const row = { count: conv.rows, step: steps.rowStep };
  const [outer, inner, last] = innermost === 'row' ? [down, across, row] : [row, down, across];
  const layout = {
    group,
    outer: outer.count,
    outerStep: outer.step,
    inner: inner.count,
    innerStep: inner.step,
    rows: last.count,
    rowStep: last.step,
    columns,
    columnStep,
  };
  const panels = groups * panelsOf(columns);
  const bytes = panels * panelBytes(outer.count * inner.count * last.count);
  return workspace.pack(weight, `panels ${groups} ${first} ${Object.values(layout)}`, bytes, (to) => {
    run('packPanels', { panels: to, w: weight.address + first, ...layout }, panels);
  });
}

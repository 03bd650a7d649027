import type { WasmOperand } from '../cpu/wasm/call.ts';
import { type Engine, FLOAT, panelBytes, panelsOf, runGemm } from '../matmul/gemm.ts';
import type { GatherConvolution } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { type Phase, phases, reach } from './phases.ts';
import { isWinograd, winogradWasm, winogradWins } from './winograd.ts';

export type Algorithm = 'direct' | 'winograd';

/** See `GatherConvolution`; source, result and residual are channels-last. */
export function gatherConvolutionWasm(
  conv: GatherConvolution,
  operands: GatherOperands,
  engine: Engine,
  algorithm: Algorithm = choose(conv, operands, engine),
): void {
  if (algorithm === 'winograd' && isWinograd(conv)) winogradWasm(conv, operands, engine);
  else convolveDirectly(conv, operands, engine);
}

/** Weights that change would have to be transformed each time. */
function choose(conv: GatherConvolution, { weight }: GatherOperands, { exact }: Engine): Algorithm {
  return !exact && weight.storage?.constant === true && isWinograd(conv) && winogradWins(conv) ? 'winograd' : 'direct';
}

function convolveDirectly(conv: GatherConvolution, operands: GatherOperands, engine: Engine): void {
  const [vertical, horizontal] = [phases(conv, 0), phases(conv, 1)];
  const padded = padSource(conv, vertical, horizontal, operands.source, engine);
  for (const down of vertical) {
    for (const across of horizontal) convolvePhase(conv, { down, across, padded }, operands, engine);
  }
}

/** The source with as many zeros around it as the windows reach beyond it: [group][n][height][width][rows]. */
interface Padded {
  readonly address: number;
  readonly height: number;
  readonly width: number;
  /** Rows and columns of zeros before the first of the source. */
  readonly top: number;
  readonly left: number;
}

/** Groups are laid apart, so that taps beside each other read values that follow each other. */
function padSource(
  conv: GatherConvolution,
  vertical: readonly Phase[],
  horizontal: readonly Phase[],
  { address }: WasmOperand,
  { run, workspace }: Engine,
): Padded {
  const { batch, groups, rows, source } = conv;
  const [fromHeight, fromWidth] = source;
  const [top, bottom] = reach(vertical, fromHeight);
  const [left, right] = reach(horizontal, fromWidth);
  const [height, width] = [top + fromHeight + bottom, left + fromWidth + right];
  const padded = { height, width, top, left };
  if (height === fromHeight && width === fromWidth && groups === 1) return { address, ...padded };

  const pixel = FLOAT * rows;
  const to = workspace.allocate(groups * batch * height * width * pixel);
  const sizes = { fromHeight, fromWidth, toHeight: height, toWidth: width };
  const job = { to, from: address, images: batch, ...sizes, top, left, pixel, allGroups: groups * pixel };
  run('pad', job, groups * batch * height);
  return { address: to, ...padded };
}

interface PhasePair {
  readonly down: Phase;
  readonly across: Phase;
  readonly padded: Padded;
}

function convolvePhase(
  conv: GatherConvolution,
  pair: PhasePair,
  { weight, y, bias, residual, relu }: GatherOperands,
  engine: Engine,
): void {
  const { batch, groups, rows, columns, target } = conv;
  const { down, across, padded } = pair;
  const image = padded.height * padded.width;
  const pixel = FLOAT * rows;
  const channels = FLOAT * groups * columns;
  const firstTap = (padded.top + down.taps.offset) * padded.width + padded.left + across.taps.offset;
  // Taps beside each other in a row are one piece.
  const joined = across.taps.offsetStep === 1;
  const product = {
    groups,
    x: {
      address: padded.address + pixel * firstTap,
      group: batch * image * pixel,
      image: image * pixel,
      row: down.stride * padded.width * pixel,
      column: across.stride * pixel,
    },
    y: {
      address: y.address + (down.first * target[1] + across.first) * channels,
      group: FLOAT * columns,
      image: target[0] * target[1] * channels,
      row: down.step * target[1] * channels,
      column: across.step * channels,
    },
    height: down.count,
    width: across.count,
    pixels: batch * down.count * across.count,
    outer: down.taps.count,
    outerStep: down.taps.offsetStep * padded.width * pixel,
    inner: joined ? 1 : across.taps.count,
    innerStep: across.taps.offsetStep * pixel,
    length: joined ? across.taps.count * rows : rows,
    panels: packWeight(conv, pair, weight, engine),
    columns,
    bias: bias?.address ?? 0,
    residual: residual ? residual.address + (down.first * target[1] + across.first) * channels : 0,
    relu,
  };
  runGemm(product, engine);
}

/** The address of the weights of a phase as panels. */
function packWeight(
  conv: GatherConvolution,
  { down, across }: PhasePair,
  weight: WasmOperand,
  { run, workspace }: Engine,
): number {
  const { groups, rows, columns, kernel, tapStride, rowStride, rowOffset, columnOffset } = conv;
  const products = down.taps.count * across.taps.count * rows;
  const panels = groups * panelsOf(columns);
  const firstTap = down.taps.tap * kernel[1] + across.taps.tap;
  const layout = {
    group: FLOAT * (rowOffset * rowStride + columnOffset),
    outer: down.taps.count,
    outerStep: FLOAT * down.taps.tapStep * kernel[1] * tapStride,
    inner: across.taps.count,
    innerStep: FLOAT * across.taps.tapStep * tapStride,
    rows,
    rowStep: FLOAT * rowStride,
    columns,
    columnStep: FLOAT,
  };
  const key = `panels ${groups} ${firstTap} ${Object.values(layout)}`;
  return workspace.pack(weight, key, panels * panelBytes(products), (to) => {
    run('packPanels', { panels: to, w: weight.address + FLOAT * firstTap * tapStride, ...layout }, panels);
  });
}

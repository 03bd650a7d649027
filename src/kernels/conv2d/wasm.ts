import { at } from '../../tensor/shape.ts';
import type { WasmCall, WasmOperand, Workspace } from '../cpu/wasm/call.ts';
import type { GatherConvolution } from './geometry.ts';

const FLOAT = 4;
/** The tile and the panel of conv2d.as.ts. */
const PIXELS = 5;
const COLUMNS = 8;
/** Bytes of source that one chunk of pixels reads, so that they stay in a second-level cache while all panels pass. */
const CHUNK_BYTES = 1 << 17;

/** Target positions along one axis whose windows have the same taps, at the same distance from where they start. */
interface Phase {
  /** The target positions are first, first + step, ...; their windows start at 0, stride, 2 stride, ... */
  readonly first: number;
  readonly step: number;
  readonly count: number;
  readonly stride: number;
  /** By rising offset: where a tap reads, counted from where the window starts. */
  readonly taps: readonly { readonly tap: number; readonly offset: number }[];
}

/**
 * A convolution's positions have one phase: each window starts `stride` behind the one before. In the input gradient,
 * (p + padding - t*dilation) / stride is whole for a part of the taps, and for the same ones every `stride` positions.
 */
function phases(conv: GatherConvolution, axis: 0 | 1): Phase[] {
  const [target, size, stride, padding, dilation] = [
    conv.target[axis],
    conv.kernel[axis],
    conv.stride[axis],
    conv.padding[axis],
    conv.dilation[axis],
  ];
  const taps = Array.from({ length: size }, (_, tap) => tap);
  if (!conv.transposed) {
    return [
      {
        first: 0,
        step: 1,
        count: target,
        stride,
        taps: taps.map((tap) => ({ tap, offset: tap * dilation - padding })),
      },
    ];
  }
  return Array.from({ length: Math.min(stride, target) }, (_, first) => ({
    first,
    step: stride,
    count: Math.ceil((target - first) / stride),
    stride: 1,
    taps: taps
      .map((tap) => ({ tap, offset: (first + padding - tap * dilation) / stride }))
      .filter(({ offset }) => Number.isInteger(offset))
      .reverse(),
  }));
}

type Engine = Pick<WasmCall<unknown>, 'run' | 'workspace'>;

export interface GatherOperands {
  readonly source: WasmOperand;
  readonly weight: WasmOperand;
  readonly y: WasmOperand;
  readonly bias?: WasmOperand | undefined;
  readonly residual?: WasmOperand | undefined;
  readonly relu: boolean;
}

/** See `GatherConvolution`; source, result and residual are channels-last. */
export function gatherConvolutionWasm(conv: GatherConvolution, operands: GatherOperands, call: Engine): void {
  const [vertical, horizontal] = [phases(conv, 0), phases(conv, 1)];
  const padded = padSource(conv, vertical, horizontal, operands.source.address, call.workspace);
  for (const down of vertical) {
    for (const across of horizontal) {
      convolvePhase(conv, { down, across, padded }, operands, call);
    }
  }
}

/** The source with as many zeros around it as the windows reach beyond it. */
interface Padded {
  readonly address: number;
  readonly height: number;
  readonly width: number;
  /** Rows and columns of zeros before the first of the source. */
  readonly top: number;
  readonly left: number;
}

function padSource(
  conv: GatherConvolution,
  vertical: readonly Phase[],
  horizontal: readonly Phase[],
  address: number,
  workspace: Workspace,
): Padded {
  const [h, w] = conv.source;
  const channels = conv.groups * conv.rows;
  const [top, bottom] = reach(vertical, h);
  const [left, right] = reach(horizontal, w);
  const [height, width] = [top + h + bottom, left + w + right];
  if (height === h && width === w) return { address, height, width, top, left };

  const size = conv.batch * height * width * channels;
  const start = workspace.allocate(FLOAT * size);
  const floats = workspace.floats();
  let to = start / FLOAT;
  floats.fill(0, to, to + size);
  to += (top * width + left) * channels;
  let from = address / FLOAT;
  for (let n = 0; n < conv.batch; n++, to += (top + bottom) * width * channels) {
    for (let y = 0; y < h; y++, from += w * channels, to += width * channels) {
      floats.copyWithin(to, from, from + w * channels);
    }
  }
  return { address: start, height, width, top, left };
}

/** How far windows reach beyond an axis of this size, before it and behind it. */
function reach(axis: readonly Phase[], size: number): [number, number] {
  let [before, behind] = [0, 0];
  for (const { count, stride, taps } of axis) {
    for (const { offset } of taps) {
      before = Math.max(before, -offset);
      behind = Math.max(behind, offset + (count - 1) * stride - (size - 1));
    }
  }
  return [before, behind];
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
  { run, workspace }: Engine,
): void {
  const { groups, rows, columns, columnOffset, rowOffset, rowStride, stride } = conv;
  const { down, across, padded } = pair;
  const count = conv.batch * down.count * across.count;
  const pixels = workspace.write(listPixels(conv, pair));
  const segments = listSegments(conv, pair);
  const firstSegment = workspace.write(segments);
  const lastSegment = firstSegment + segments.byteLength;

  const taps = down.taps.flatMap(({ tap: ty }) =>
    across.taps.map(({ tap: tx }) => FLOAT * (ty * conv.kernel[1] + tx) * conv.tapStride),
  );
  const panel = FLOAT * COLUMNS * taps.length * rows;
  const groupPanels = panel * Math.ceil(columns / COLUMNS);
  const key = `panels ${groups} ${rows} ${columns} ${rowStride} ${taps}`;
  const panels = workspace.pack(weight, key, groups * groupPanels, (to) => {
    const list = workspace.write(Int32Array.from(taps));
    for (let g = 0; g < groups; g++) {
      const packing = {
        w: weight.address + FLOAT * g * (rowOffset * rowStride + columnOffset),
        panels: to + g * groupPanels,
        taps: list,
        lastTap: list + FLOAT * taps.length,
        rows,
        stride: FLOAT * rowStride,
        columns,
      };
      run('packPanels', packing, Math.ceil(columns / COLUMNS));
    }
  });

  const pixelBytes = FLOAT * groups * rows * (conv.transposed ? 1 : stride[0] * stride[1]);
  const chunk = PIXELS * Math.max(1, Math.floor(CHUNK_BYTES / pixelBytes / PIXELS));
  for (let g = 0; g < groups; g++) {
    const shift = FLOAT * g * columns;
    const job = {
      source: padded.address + FLOAT * g * rows,
      target: y.address + shift,
      pixels,
      count,
      chunk,
      segments: firstSegment,
      lastSegment,
      panels: panels + g * groupPanels,
      panel,
      columns,
      bias: bias ? bias.address + shift : 0,
      residual: residual ? residual.address + shift : 0,
      relu: Number(relu),
    };
    run('convolve', job, Math.ceil(count / PIXELS));
  }
}

/** [source, target] of each pixel in bytes, as `Pixel` of conv2d.as.ts; the last one is repeated until the tile is full. */
function listPixels(conv: GatherConvolution, { down, across, padded }: PhasePair): Int32Array {
  const [sourceBytes, targetBytes] = [FLOAT * conv.groups * conv.rows, FLOAT * conv.groups * conv.columns];
  const count = conv.batch * down.count * across.count;
  const list = new Int32Array(2 * Math.ceil(count / PIXELS) * PIXELS);
  let next = 0;
  for (let n = 0; n < conv.batch; n++) {
    for (let i = 0; i < down.count; i++) {
      const sourceRow = (n * padded.height + i * down.stride + padded.top) * padded.width + padded.left;
      const targetRow = (n * conv.target[0] + down.first + i * down.step) * conv.target[1] + across.first;
      for (let j = 0; j < across.count; j++) {
        list[next++] = (sourceRow + j * across.stride) * sourceBytes;
        list[next++] = (targetRow + j * across.step) * targetBytes;
      }
    }
  }
  for (; next < list.length; next++) list[next] = at(list, next - 2);
  return list;
}

/**
 * How many products are summed in single precision before their sum is added, in double precision, to those of the other
 * blocks: about the root of their number. The rounding of random products grows with the root of a block's length, and
 * sums of few products are in the first layers, whose errors all layers behind them amplify.
 */
function blockLength(products: number): number {
  return 2 ** Math.max(3, Math.floor(Math.log2(products) / 2));
}

/**
 * [source, length, ends] of each piece of a window, as `Segment` of conv2d.as.ts. Taps beside each other in a row are one
 * piece, since their channels follow each other in memory.
 */
function listSegments(conv: GatherConvolution, { down, across, padded }: PhasePair): Int32Array {
  const { rows, groups } = conv;
  const bytes = FLOAT * groups * rows;
  const joined = groups === 1 && across.taps.every(({ offset }, i) => offset === at(across.taps, 0).offset + i);
  const starts = joined ? across.taps.slice(0, 1) : across.taps;
  const length = joined ? across.taps.length * rows : rows;
  const block = blockLength(down.taps.length * across.taps.length * rows);
  const list: number[] = [];
  let inBlock = 0;
  for (const { offset: y } of down.taps) {
    for (const { offset: x } of starts) {
      for (let done = 0; done < length; done += block) {
        const piece = Math.min(block, length - done);
        inBlock += piece;
        const ends = inBlock >= block;
        if (ends) inBlock = 0;
        list.push((y * padded.width + x) * bytes + FLOAT * done, piece, ends ? 1 : 0);
      }
    }
  }
  if (list.length > 0) list[list.length - 1] = 1;
  return Int32Array.from(list);
}

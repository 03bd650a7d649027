import type { WasmOperand } from '../cpu/wasm/call.ts';
import { type Engine, FLOAT } from '../cpu/wasm/call.ts';
import { panelBytes, panelsOf, runGemm } from '../matmul/gemm.ts';
import { isDepthwise } from './depthwise.ts';
import type { ConvGeometry, WeightGradientShape } from './geometry.ts';
import { eachPhase, placePhase } from './source.ts';

/** Products that one pass sums: what they read stays in a second-level cache. */
const PRODUCTS = 1 << 12;
/** Channels whose planes are filled by one unit. */
const UNIT_CHANNELS = 16;

interface Operands {
  readonly x: WasmOperand;
  readonly cotangent: WasmOperand;
  readonly dw: WasmOperand;
}

/** See `weightGradient` of host.ts. */
export function weightGradientWasm(
  shape: WeightGradientShape,
  geometry: ConvGeometry,
  operands: Operands,
  engine: Engine,
): void {
  const depthwise = isDepthwise({ rows: shape.rows, columns: shape.out / geometry.groups });
  (depthwise ? depthwiseGradient : productGradient)(shape, geometry, operands, engine);
}

/**
 * A matrix product that sums over pixels, some images at a time: its rows are the taps and input channels, its columns the
 * output channels. x is transposed for it, see `Planes`, and the cotangent put into panels.
 */
function productGradient(
  shape: WeightGradientShape,
  geometry: ConvGeometry,
  { x, cotangent, dw }: Operands,
  engine: Engine,
): void {
  const { k, batch, target, kernel, rows, out } = shape;
  const area = target[0] * target[1];
  const most = Math.min(batch, Math.max(1, Math.floor(PRODUCTS / area)));
  const planes = layPlanes(shape, geometry, most, engine);
  const panels = engine.workspace.allocate(geometry.groups * panelsOf(out / geometry.groups) * panelBytes(most * area));
  const size = FLOAT * kernel[0] * kernel[1] * rows * out;
  // What the images before add up to is a residual, which may not lie where the result goes.
  let [to, before] = [dw.address, batch > most ? engine.workspace.allocate(k * size) : 0];
  if (Math.ceil(batch / most) % 2 === 0) [to, before] = [before, to];
  for (let first = 0; first < batch; first += most) {
    const images = Math.min(most, batch - first);
    fillPlanes(shape, geometry, planes, x.address, { first, images }, engine);
    for (let score = 0; score < k; score++) {
      packCotangent(cotangent.address + FLOAT * out * area * (score * batch + first), panels, images * area, {
        ...{ groups: geometry.groups, out },
        run: engine.run,
      });
      const place = { y: to + score * size, residual: first > 0 ? before + score * size : 0 };
      multiplyPlanes(shape, geometry, { planes, panels, images, ...place }, engine);
    }
    [to, before] = [before, to];
  }
}

/** x as one plane for each channel, [channel][n][y][phase][x]: see `Planes` of pack.as.ts. */
interface Planes {
  readonly address: number;
  /** Bytes of a plane, and of one row of it. */
  readonly plane: number;
  readonly row: number;
  /** Rows of an image and columns of a phase: what windows reach. */
  readonly height: number;
  readonly width: number;
}

function layPlanes(
  { target, kernel, rows }: WeightGradientShape,
  { stride, dilation, groups }: ConvGeometry,
  images: number,
  { workspace }: Engine,
): Planes {
  const height = (target[0] - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1;
  const width = target[1] + Math.floor(((kernel[1] - 1) * dilation[1]) / stride[1]);
  const row = FLOAT * stride[1] * width;
  const plane = images * height * row;
  return { address: workspace.allocate(groups * rows * plane), plane, row, height, width };
}

function fillPlanes(
  { size, rows }: WeightGradientShape,
  { stride, padding, groups }: ConvGeometry,
  { address, plane, height, width }: Planes,
  x: number,
  { first, images }: { readonly first: number; readonly images: number },
  { run }: Engine,
): void {
  const channels = groups * rows;
  const pixel = FLOAT * channels;
  const image = size[0] * size[1] * pixel;
  const job = {
    planes: address,
    plane,
    from: x + first * image,
    fromImage: image,
    fromRow: size[1] * pixel,
    fromColumn: pixel,
    fromHeight: size[0],
    fromWidth: size[1],
    channels,
    height,
    width,
    top: padding[0],
    left: padding[1],
    step: stride[1],
    unitChannels: UNIT_CHANNELS,
  };
  run('toPlanes', job, images * height * Math.ceil(channels / UNIT_CHANNELS));
}

/** Panels [group][panel][pixel][8] of `pixels` pixels. */
function packCotangent(
  from: number,
  panels: number,
  pixels: number,
  { groups, out, run }: { readonly groups: number; readonly out: number; readonly run: Engine['run'] },
): void {
  const columns = out / groups;
  const job = {
    panels,
    w: from,
    group: FLOAT * columns,
    outer: 1,
    outerStep: 0,
    inner: 1,
    innerStep: 0,
    rows: pixels,
    rowStep: FLOAT * out,
    columns,
    columnStep: FLOAT,
  };
  run('packPanels', job, groups * panelsOf(columns));
}

function multiplyPlanes(
  { target, kernel, rows, out }: WeightGradientShape,
  { stride, dilation, groups }: ConvGeometry,
  operands: {
    readonly planes: Planes;
    readonly panels: number;
    readonly images: number;
    readonly y: number;
    readonly residual: number;
  },
  engine: Engine,
): void {
  const { planes, panels, images, y, residual } = operands;
  const { plane, row, height, width } = planes;
  // Taps so far apart read in the same phase, one as far behind the other as the next.
  const step = stride[1] / greatestCommonDivisor(stride[1], dilation[1]);
  for (let first = 0; first < Math.min(step, kernel[1]); first++) {
    const taps = Math.ceil((kernel[1] - first) / step);
    const start = first * dilation[1];
    const offset = (start % stride[1]) * width + Math.floor(start / stride[1]);
    const tap = FLOAT * rows * out;
    const sum = joinPieces({
      outer: images,
      outerStep: height * row,
      inner: target[0],
      innerStep: stride[0] * row,
      length: target[1],
    });
    runGemm(
      {
        groups,
        x: {
          address: planes.address + FLOAT * offset,
          group: rows * plane,
          image: dilation[0] * row,
          row: (FLOAT * step * dilation[1]) / stride[1],
          column: plane,
        },
        y: {
          address: y + first * tap,
          group: FLOAT * (out / groups),
          image: kernel[1] * tap,
          row: step * tap,
          column: FLOAT * out,
        },
        height: taps,
        width: rows,
        pixels: kernel[0] * taps * rows,
        ...sum,
        panels,
        columns: out / groups,
        residual: residual && residual + first * tap,
      },
      engine,
    );
  }
}

interface Pieces {
  readonly outer: number;
  readonly outerStep: number;
  readonly inner: number;
  readonly innerStep: number;
  readonly length: number;
}

/** Longer pieces, where they follow each other. */
function joinPieces({ outer, outerStep, inner, innerStep, length }: Pieces): Pieces {
  if (inner > 1 && innerStep !== FLOAT * length) return { outer, outerStep, inner, innerStep, length };
  const joined = { outer, outerStep, inner: 1, innerStep: 0, length: inner * length };
  if (outer > 1 && outerStep !== FLOAT * joined.length) return joined;
  return { ...joined, outer: 1, outerStep: 0, length: outer * joined.length };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function depthwiseGradient(
  { k, batch, size, target, kernel }: WeightGradientShape,
  geometry: ConvGeometry,
  { x, cotangent, dw }: Operands,
  engine: Engine,
): void {
  const { groups } = geometry;
  const conv = { ...geometry, transposed: false, batch, source: size, target, kernel, rows: 1, columns: 1 };
  const [pair] = eachPhase(conv, 1, x, engine);
  if (!pair) return;
  const window = placePhase(conv, pair);
  for (let score = 0; score < k; score++) {
    const job = {
      x: window.x.address,
      xImage: window.x.image,
      xRow: window.x.row,
      xColumn: window.x.column,
      cotangent: cotangent.address + FLOAT * groups * target[0] * target[1] * batch * score,
      height: target[0],
      width: target[1],
      images: batch,
      channels: groups,
      inner: kernel[1],
      outerStep: window.outerStep,
      innerStep: window.innerStep,
      dw: dw.address + FLOAT * groups * kernel[0] * kernel[1] * score,
    };
    engine.run('depthwiseWeightGradient', job, kernel[0] * kernel[1]);
  }
}

import type { Pair } from '../core/pair.ts';
import { linearGrid, type Uniform, type WgslProgram, workgroupGrid } from '../webgpu/program.ts';
import { chooseTiling, countTiles, type ProductSize, type ShaderTarget, tilesOf } from '../webgpu/tiles.ts';
import { convolutionWgsl, DEPTHWISE_PIXELS, depthwiseWgsl } from './conv2d.wgsl.ts';
import { isDepthwise } from './depthwise.ts';
import type { ConvGeometry, GatherConvolution, WeightGradientShape } from './geometry.ts';
import { type Phase, phases } from './phases.ts';
import { weightGradientWgsl } from './weight-gradient.wgsl.ts';

/** What follows the sums: inputs of the op behind the source and the weight. */
interface Epilogue {
  readonly bias: boolean;
  readonly residual: boolean;
  readonly relu: boolean;
}

/** Pixels whose windows have the same taps, see `Phase`. */
interface PhasePair {
  readonly down: Phase;
  readonly across: Phase;
}

/** The programs of a `GatherConvolution`, one for each phase. */
export function gatherConvolutionWgsl(
  conv: GatherConvolution,
  epilogue: Epilogue,
  target: ShaderTarget,
): WgslProgram[] {
  const program = isDepthwise(conv) ? depthwiseProgram : productProgram;
  return phases(conv, 0).flatMap((down) =>
    phases(conv, 1).map((across) => program(conv, { down, across }, epilogue, target)),
  );
}

function productProgram(
  conv: GatherConvolution,
  pair: PhasePair,
  epilogue: Epilogue,
  target: ShaderTarget,
): WgslProgram {
  const { transposed, groups, rows, columns, kernel } = conv;
  const size: ProductSize = { groups, channels: columns, pixels: countPixels(conv, pair) };
  const { tiling } = chooseTiling(target, size);
  const tiles = tilesOf(tiling, target);
  const counts = countTiles(tiles, size);
  const vectors = { rows: rows % 4 === 0, columns: columns % 4 === 0 };
  const unit = vectors.rows ? 4 : 1;
  const tap = (transposed ? groups * rows : rows) / unit;
  const channel = kernel[0] * kernel[1] * tap;
  return {
    key: `conv2d/${tiling}/rows${unit}/columns${vectors.columns ? 4 : 1}`,
    code: () => convolutionWgsl(tiles, vectors),
    ...(tiles.sharing === 'subgroup' && { extensions: ['subgroups'] }),
    bindings: bindings(epilogue, vectors),
    uniforms: [
      ['tiles', 'u32', counts.tiles],
      ['pixel_tiles', 'u32', counts.pixelTiles],
      ['channel_tiles', 'u32', counts.channelTiles],
      ['sums', 'u32', (tiles.channels / 4) * tiles.pixels],
      ['columns', 'u32', columns],
      ['source_pixel', 'u32', (groups * rows) / unit],
      ['depth', 'u32', rows / unit],
      ['w_group', 'u32', transposed ? rows / unit : columns * channel],
      ['w_channel', 'u32', channel],
      ['w_tap', 'u32', tap],
      ...commonUniforms(conv, pair, epilogue),
    ],
    workgroups: workgroupGrid(counts.tiles),
  };
}

function depthwiseProgram(conv: GatherConvolution, pair: PhasePair, epilogue: Epilogue): WgslProgram {
  const { groups } = conv;
  const vectors = groups % 4 === 0;
  const blocks = vectors ? groups / 4 : groups;
  const threads = blocks * Math.ceil(countPixels(conv, pair) / DEPTHWISE_PIXELS);
  return {
    key: `conv2d/depthwise/${vectors ? 4 : 1}`,
    code: () => depthwiseWgsl(vectors),
    bindings: bindings(epilogue, { rows: vectors, columns: vectors }),
    uniforms: [
      ['tiles', 'u32', threads],
      ['source_pixel', 'u32', blocks],
      ['depth', 'u32', 1],
      ['w_tap', 'u32', blocks],
      ...commonUniforms(conv, pair, epilogue),
    ],
    workgroups: linearGrid(threads),
  };
}

function countPixels({ batch }: GatherConvolution, { down, across }: PhasePair): number {
  return batch * down.count * across.count;
}

/** A bias or residual that there is not has the weight in its place, which is not read: one pipeline serves all cases. */
function bindings({ bias, residual }: Epilogue, vectors: { rows: boolean; columns: boolean }): WgslProgram['bindings'] {
  const type = (four: boolean) => (four ? 'vec4f' : 'f32');
  return [
    { name: 'source', type: type(vectors.rows), operand: { input: 0 } },
    { name: 'w', type: type(vectors.rows), operand: { input: 1 } },
    { name: 'bias', type: type(vectors.columns), operand: { input: bias ? 2 : 1 } },
    { name: 'residual', type: type(vectors.columns), operand: { input: residual ? (bias ? 3 : 2) : 1 } },
    { name: 'y', type: type(vectors.columns), operand: { output: 0 } },
  ];
}

function commonUniforms(conv: GatherConvolution, pair: PhasePair, { bias, residual, relu }: Epilogue): Uniform[] {
  return [
    ['pixels', 'u32', countPixels(conv, pair)],
    ['channels', 'u32', conv.groups * conv.columns],
    ['kernel_w', 'u32', conv.kernel[1]],
    ['has_bias', 'u32', Number(bias)],
    ['has_residual', 'u32', Number(residual)],
    ['relu', 'u32', Number(relu)],
    ...axisUniforms('h', pair.down, conv.source[0], conv.target[0]),
    ...axisUniforms('w', pair.across, conv.source[1], conv.target[1]),
  ];
}

function axisUniforms(
  axis: 'h' | 'w',
  { first, step, count, stride, taps }: Phase,
  source: number,
  target: number,
): Uniform[] {
  return [
    [`source_${axis}`, 'u32', source],
    [`target_${axis}`, 'u32', target],
    [`first_${axis}`, 'u32', first],
    [`step_${axis}`, 'u32', step],
    [`count_${axis}`, 'u32', count],
    [`stride_${axis}`, 'u32', stride],
    [`taps_${axis}`, 'u32', taps.count],
    [`tap_${axis}`, 'i32', taps.tap],
    [`tap_step_${axis}`, 'i32', taps.tapStep],
    [`offset_${axis}`, 'i32', taps.offset],
    [`offset_step_${axis}`, 'u32', taps.offsetStep],
  ];
}

/** See `weightGradient` of host.ts. */
export function weightGradientProgram(
  { k, batch, size, target, kernel, rows, out }: WeightGradientShape,
  { stride, padding, dilation, groups }: ConvGeometry,
  { software }: ShaderTarget,
): WgslProgram {
  const columns = out / groups;
  // The larger tile reads half as much for each product; a GPU needs the threads that it does without.
  const side = software ? 2 : 1;
  const rowTiles = Math.ceil(rows / (4 * side));
  const columnTiles = Math.ceil(columns / (4 * side));
  const vectors = rows % 4 === 0 && columns % 4 === 0;
  const type = vectors ? 'vec4f' : 'f32';
  const threads = k * kernel[0] * kernel[1] * rowTiles * groups * columnTiles;
  return {
    key: `conv2d/weight-gradient/${vectors ? 4 : 1}`,
    code: () => weightGradientWgsl({ rows: side, columns: side }, vectors),
    bindings: [
      { name: 'x', type, operand: { input: 0 } },
      { name: 'cotangent', type, operand: { input: 1 } },
      { name: 'dw', type, operand: { output: 0 } },
    ],
    uniforms: [
      ['threads', 'u32', threads],
      ['batch', 'u32', batch],
      ['groups', 'u32', groups],
      ['rows', 'u32', rows],
      ['columns', 'u32', columns],
      ['row_tiles', 'u32', rowTiles],
      ['column_tiles', 'u32', columnTiles],
      ['sums', 'u32', 4 * side * side],
      ...pairUniforms({ source: size, target, kernel, stride, padding, dilation }),
    ],
    workgroups: linearGrid(threads),
  };
}

function pairUniforms(pairs: Readonly<Record<string, Pair>>): Uniform[] {
  return Object.entries(pairs).flatMap(([name, [h, w]]): Uniform[] => [
    [`${name}_h`, 'u32', h],
    [`${name}_w`, 'u32', w],
  ]);
}

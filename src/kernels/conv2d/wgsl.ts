import { at, sizeOf } from '../../tensor/shape.ts';
import type { Pair } from '../core/pair.ts';
import type { WgslInput } from '../device.ts';
import { HALF, halved, isHalved } from '../webgpu/halves.ts';
import {
  FLOAT,
  linearGrid,
  type ProgramOperand,
  type Uniform,
  type WgslProgram,
  workgroupGrid,
} from '../webgpu/program.ts';
import {
  chooseSplits,
  chooseTiling,
  countTiles,
  type ProductSize,
  type ShaderTarget,
  type Tiles,
  type Tiling,
  tilesOf,
  weightGradientTilesOf,
} from '../webgpu/tiles.ts';
import { chooseAlgorithm } from './algorithm.ts';
import { convolutionWgsl, DEPTHWISE_PIXELS, depthwiseWgsl, splitSumsWgsl } from './conv2d.wgsl.ts';
import { isDepthwise } from './depthwise.ts';
import type { Algorithm, ConvGeometry, GatherShape, WeightGradientShape } from './geometry.ts';
import { patchesProgram, patchSize, patchWeightsProgram } from './patches.wgsl.ts';
import { type Phase, phases } from './phases.ts';
import { weightGradientWgsl } from './weight-gradient.wgsl.ts';
import { inputProgram, MATRICES, outputProgram, weightsProgram, winogradTiles } from './winograd.wgsl.ts';

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

/** The programs of a `GatherShape`, one for each phase. */
export function gatherConvolutionWgsl(
  conv: GatherShape,
  weight: WgslInput,
  epilogue: Epilogue,
  target: ShaderTarget,
  algorithm?: Algorithm,
): WgslProgram[] {
  const asked = algorithm ? { ...target, algorithm } : target;
  const chosen = chooseAlgorithm(asked, conv).algorithm;
  if (chosen === 'winograd') return winogradPrograms(conv, epilogue, target);
  const halves = isHalved(weight, target);
  if (chosen === 'patches') return patchesPrograms(conv, epilogue, target, halves);
  const pairs = phases(conv, 0).flatMap((down) => phases(conv, 1).map((across) => ({ down, across })));
  const operands = halves ? { halves, w: halved(1, sizeOf(weight.shape)) } : {};
  if (isDepthwise(conv)) return pairs.map((pair) => depthwiseProgram(conv, pair, epilogue, operands));
  const [only, ...others] = pairs;
  if (only && others.length === 0) return productPrograms(conv, only, epilogue, target, operands);
  // Each phase makes a part of the pixels.
  return pairs.map((pair) => {
    const size = productSize(conv, pair);
    const { tiling } = chooseTiling(target, size);
    return productProgram(conv, pair, epilogue, tilesOf(tiling, target, size), { ...operands, tiling });
  });
}

/** Numbers in the result. */
function resultSize({ batch, target, groups, columns }: GatherShape): number {
  return batch * target[0] * target[1] * groups * columns;
}

/** The product of all pixels, in one pass, or in two with the depth split. */
function productPrograms(
  conv: GatherShape,
  pair: PhasePair,
  epilogue: Epilogue,
  target: ShaderTarget,
  options: ProductOptions = {},
): WgslProgram[] {
  const size = productSize(conv, pair);
  const { tiling } = chooseTiling(target, size);
  const tiles = tilesOf(tiling, target, size);
  const splits = chooseSplits(target, countWorkgroups(tiles, size, 1), size.depth);
  if (splits === 1) return [productProgram(conv, pair, epilogue, tiles, { ...options, tiling })];
  const parts: Parts = { splits, numbers: resultSize(conv), channels: conv.groups * conv.columns };
  return [
    productProgram(conv, pair, NOTHING, tiles, { ...options, tiling, splits, y: partsOperand(parts, true) }),
    splitSumsProgram(parts, conv.columns % 4 === 0, epilogue, options.y),
  ];
}

/** The sums of each part of a depth that is split. */
interface Parts {
  readonly splits: number;
  /** In the result, and so in each part. */
  readonly numbers: number;
  /** Of which a bias has one number each. */
  readonly channels: number;
}

function partsOperand({ splits, numbers }: Parts, written: boolean): ProgramOperand {
  return { scratch: { name: 'parts', bytes: FLOAT * splits * numbers, written } };
}

/** The second pass. */
function splitSumsProgram(parts: Parts, vectors: boolean, epilogue: Epilogue, y?: ProgramOperand): WgslProgram {
  const sums = partsOperand(parts, false);
  const count = vectors ? parts.numbers / 4 : parts.numbers;
  return {
    key: `conv2d/splits/${vectors ? 4 : 1}`,
    code: () => splitSumsWgsl(vectors),
    bindings: [
      { name: 'part', type: vectors ? 'vec4f' : 'f32', operand: sums },
      ...epilogueBindings(epilogue, vectors, sums, y),
    ],
    uniforms: [
      ['count', 'u32', count],
      ['splits', 'u32', parts.splits],
      ['channels', 'u32', parts.channels],
      ...epilogueUniforms(epilogue),
    ],
    workgroups: linearGrid(count),
  };
}

function productSize(conv: GatherShape, pair: PhasePair): ProductSize {
  const { groups, rows, columns } = conv;
  const depth = rows * pair.down.taps.count * pair.across.taps.count;
  return { groups, channels: columns, pixels: countPixels(conv, pair), depth };
}

function productProgram(
  conv: GatherShape,
  pair: PhasePair,
  epilogue: Epilogue,
  tiles: Tiles,
  { tiling, groupsApart = false, splits = 1, ...operands }: ProductOptions & { readonly tiling: Tiling },
): WgslProgram {
  const { transposed, groups, rows, columns, kernel, source, batch } = conv;
  const size = productSize(conv, pair);
  const inMemory = tiles.sharing === 'workgroup';
  const vectors = { rows: rows % 4 === 0, columns: columns % 4 === 0 };
  const unit = vectors.rows ? 4 : 1;
  // Counted in vectors of all taps, or in rows of each.
  const whole = inMemory ? pair.down.taps.count * pair.across.taps.count * Math.ceil(rows / 4) : rows / unit;
  const part = inMemory ? tiles.depth : 4 / unit;
  const tap = (transposed ? groups * rows : rows) / unit;
  const channel = kernel[0] * kernel[1] * tap;
  return {
    key: `conv2d/${tiling}/${tiles.channels}x${tiles.pixels}/rows${unit}/columns${vectors.columns ? 4 : 1}${operands.halves ? '/f16' : ''}`,
    code: () => convolutionWgsl(tiles, vectors),
    extensions: [...(tiles.sharing === 'subgroup' ? ['subgroups'] : []), ...(operands.halves ? ['f16'] : [])],
    bindings: bindings(epilogue, vectors, operands),
    uniforms: [
      ...tilesUniforms(tiles, size),
      ['splits', 'u32', splits],
      ['split_depth', 'u32', Math.ceil(whole / splits / part) * part],
      ['y_split', 'u32', resultSize(conv)],
      ['source_pixel', 'u32', (groupsApart ? rows : groups * rows) / unit],
      ['source_group', 'u32', ((groupsApart ? batch * source[0] * source[1] : 1) * rows) / unit],
      ['y_pixel', 'u32', groupsApart ? columns : groups * columns],
      ['y_group', 'u32', (groupsApart ? size.pixels : 1) * columns],
      ['depth', 'u32', rows / unit],
      ['w_group', 'u32', transposed ? rows / unit : columns * channel],
      ['w_channel', 'u32', channel],
      ['w_tap', 'u32', tap],
      ...commonUniforms(conv, pair, epilogue),
    ],
    workgroups: workgroupGrid(countWorkgroups(tiles, size, splits)),
  };
}

/** @param splits of the depth */
function countWorkgroups(tiles: Tiles, size: ProductSize, splits: number): number {
  return Math.ceil((countTiles(tiles, size).tiles * splits) / tiles.together);
}

/** What `productWgsl` has to know. */
function tilesUniforms(tiles: Tiles, size: ProductSize): Uniform[] {
  const counts = countTiles(tiles, size);
  return [
    ['tiles', 'u32', counts.tiles],
    ['pixel_tiles', 'u32', counts.pixelTiles],
    ['channel_tiles', 'u32', counts.channelTiles],
    ['thread_pixels', 'u32', tiles.pixels],
    ['thread_vectors', 'u32', tiles.channels / 4],
    ['columns', 'u32', size.channels],
  ];
}

function depthwiseProgram(
  conv: GatherShape,
  pair: PhasePair,
  epilogue: Epilogue,
  operands: Partial<Operands>,
): WgslProgram {
  const { groups } = conv;
  const vectors = groups % 4 === 0;
  const blocks = vectors ? groups / 4 : groups;
  const threads = blocks * Math.ceil(countPixels(conv, pair) / DEPTHWISE_PIXELS);
  return {
    key: `conv2d/depthwise/${vectors ? 4 : 1}${operands.halves ? '/f16' : ''}`,
    code: () => depthwiseWgsl(vectors),
    extensions: operands.halves ? ['f16'] : [],
    bindings: bindings(epilogue, { rows: vectors, columns: vectors }, operands),
    uniforms: [
      ['tiles', 'u32', threads],
      ['source_pixel', 'u32', blocks],
      ['source_group', 'u32', 1],
      ['channels', 'u32', groups],
      ['w_tap', 'u32', blocks],
      ...commonUniforms(conv, pair, epilogue),
    ],
    workgroups: linearGrid(threads),
  };
}

function countPixels({ batch }: GatherShape, { down, across }: PhasePair): number {
  return batch * down.count * across.count;
}

interface ProductOptions extends Partial<Operands> {
  /** Whether the groups of source and result lie one after the other, not beside each other in each pixel. */
  readonly groupsApart?: boolean;
  /** Parts of the depth, each with a result of its own. */
  readonly splits?: number;
}

const NOTHING: Epilogue = { bias: false, residual: false, relu: false };

/** Where the source, the weight and the result are, if not where the op has them. */
interface Operands {
  readonly source: ProgramOperand;
  readonly w: ProgramOperand;
  readonly y: ProgramOperand;
  /** Whether the weight is in half precision. */
  readonly halves?: boolean;
}

function bindings(
  epilogue: Epilogue,
  vectors: { rows: boolean; columns: boolean },
  { source = { input: 0 }, w = { input: 1 }, y, halves = false }: Partial<Operands>,
): WgslProgram['bindings'] {
  const typeOf = (number: string) => (vectors.rows ? `vec4<${number}>` : number);
  return [
    { name: 'source', type: typeOf('f32'), operand: source },
    { name: 'w', type: typeOf(halves ? 'f16' : 'f32'), operand: w },
    ...epilogueBindings(epilogue, vectors.columns, w, y),
  ];
}

/** A bias or residual that there is not has something else in its place, which is not read: one pipeline serves all cases. */
function epilogueBindings(
  { bias, residual }: Epilogue,
  vectors: boolean,
  unread: ProgramOperand,
  y: ProgramOperand = { output: 0 },
): WgslProgram['bindings'] {
  const type = vectors ? 'vec4f' : 'f32';
  return [
    { name: 'bias', type, operand: bias ? { input: 2 } : unread },
    { name: 'residual', type, operand: residual ? { input: bias ? 3 : 2 } : unread },
    { name: 'y', type, operand: y },
  ];
}

function epilogueUniforms({ bias, residual, relu }: Epilogue): Uniform[] {
  return [
    ['has_bias', 'u32', Number(bias)],
    ['has_residual', 'u32', Number(residual)],
    ['relu', 'u32', Number(relu)],
  ];
}

function commonUniforms(conv: GatherShape, pair: PhasePair, epilogue: Epilogue): Uniform[] {
  return [['kernel_w', 'u32', conv.kernel[1]], ...epilogueUniforms(epilogue), ...windowUniforms(conv, pair)];
}

/** Where pixels are, and what they are computed from. */
function windowUniforms(conv: GatherShape, pair: PhasePair): Uniform[] {
  return [
    ['pixels', 'u32', countPixels(conv, pair)],
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

/**
 * y[p, g, c] = sum over rows r of source[p, g, r] * w[g, c, r]: a 1x1 convolution over an image of one row. With `groupsApart` the
 * matrices of source and y lie one after the other, [g, p, r] and [g, p, c].
 */
export function matricesPrograms(
  { pixels, ...sizes }: Pick<GatherShape, 'groups' | 'rows' | 'columns'> & { readonly pixels: number },
  target: ShaderTarget,
  operands: Partial<Operands> & { readonly groupsApart?: boolean },
  epilogue: Epilogue = NOTHING,
): WgslProgram[] {
  const row: Pair = [1, pixels];
  const once: Pair = [1, 1];
  const conv: GatherShape = {
    ...{ transposed: false, batch: 1, ...sizes, source: row, target: row, kernel: once },
    ...{ stride: once, padding: [0, 0], dilation: once },
  };
  const pair = { down: at(phases(conv, 0), 0), across: at(phases(conv, 1), 0) };
  return productPrograms(conv, pair, epilogue, target, operands);
}

/** See patches.wgsl.ts. */
function patchesPrograms(conv: GatherShape, epilogue: Epilogue, target: ShaderTarget, halves: boolean): WgslProgram[] {
  const { batch, columns } = conv;
  const rows = patchSize(conv);
  const pixels = batch * conv.target[0] * conv.target[1];
  const pair = { down: at(phases(conv, 0), 0), across: at(phases(conv, 1), 0) };
  const patches = (written: boolean): ProgramOperand => ({
    scratch: { name: 'patches', bytes: FLOAT * pixels * rows, written },
  });
  const program = patchWeightsProgram(conv, halves ? 'f16' : 'f32');
  const w = { packed: { input: 1, bytes: (halves ? HALF : FLOAT) * columns * rows, program } };
  return [
    patchesProgram(conv, windowUniforms(conv, pair), patches(true)),
    ...matricesPrograms({ groups: 1, pixels, rows, columns }, target, { source: patches(false), w, halves }, epilogue),
  ];
}

/** See winograd.wgsl.ts. */
function winogradPrograms(conv: GatherShape, epilogue: Epilogue, target: ShaderTarget): WgslProgram[] {
  const { rows, columns } = conv;
  const [down, across] = [at(phases(conv, 0), 0), at(phases(conv, 1), 0)];
  const tiles = winogradTiles(conv);
  const scratch = (name: string, channels: number, written: boolean): ProgramOperand => ({
    scratch: { name, bytes: FLOAT * MATRICES * tiles * channels, written },
  });
  // Vectors of rows from a tap to the one beside it.
  const tap = rows / 4;
  const weights = weightsProgram(conv, {
    first: (3 * down.taps.tap + across.taps.tap) * tap,
    down: 3 * down.taps.tapStep * tap,
    across: across.taps.tapStep * tap,
    channel: 9 * tap,
  });
  const products = { groups: MATRICES, pixels: tiles, rows, columns };
  const operands = {
    source: scratch('input', rows, false),
    w: { packed: { input: 1, bytes: FLOAT * MATRICES * rows * columns, program: weights } },
    y: scratch('sums', columns, true),
  };
  const sums = scratch('sums', columns, false);
  return [
    inputProgram(conv, scratch('input', rows, true)),
    ...matricesPrograms(products, target, operands),
    outputProgram(conv, sums, {
      bindings: epilogueBindings(epilogue, true, sums),
      uniforms: epilogueUniforms(epilogue),
    }),
  ];
}

/** See `weightGradient` of host.ts; in one pass, or in two with the pixels that are summed split. */
export function weightGradientPrograms(
  shape: WeightGradientShape,
  geometry: ConvGeometry,
  target: ShaderTarget,
): WgslProgram[] {
  const { k, batch, kernel, rows, out } = shape;
  const { groups } = geometry;
  const columns = out / groups;
  const taps = kernel[0] * kernel[1];
  const size: ProductSize = {
    groups: k * groups,
    channels: columns,
    // Whole vectors of each tap.
    pixels: 4 * taps * Math.ceil(rows / 4),
    depth: batch * shape.target[0] * shape.target[1],
    weightGradient: true,
  };
  const { tiling } = chooseTiling(target, size);
  const tiles = weightGradientTilesOf(tiling, target);
  const splits = chooseSplits(target, countWorkgroups(tiles, size, 1), size.depth);
  const parts: Parts = { splits, numbers: k * taps * rows * out, channels: out };
  const conv = {
    ...geometry,
    transposed: false,
    batch,
    source: shape.size,
    target: shape.target,
    kernel,
    rows,
    columns,
  };
  if (splits === 1) return [weightGradientProgram(conv, size, tiles, { tiling, parts, dw: { output: 0 } })];
  return [
    weightGradientProgram(conv, size, tiles, { tiling, parts, dw: partsOperand(parts, true) }),
    splitSumsProgram(parts, columns % 4 === 0, NOTHING),
  ];
}

/** @param conv the convolution itself */
function weightGradientProgram(
  conv: GatherShape,
  size: ProductSize,
  tiles: Tiles,
  { tiling, parts, dw }: { readonly tiling: Tiling; readonly parts: Parts; readonly dw: ProgramOperand },
): WgslProgram {
  const { groups, rows, columns, batch, target } = conv;
  const pair = { down: at(phases(conv, 0), 0), across: at(phases(conv, 1), 0) };
  const vectors = { rows: rows % 4 === 0, columns: columns % 4 === 0 };
  const [rowUnit, columnUnit] = [vectors.rows ? 4 : 1, vectors.columns ? 4 : 1];
  const x: ProgramOperand = { input: 0 };
  const cotangent: ProgramOperand = { input: 1 };
  // Counted in pixels, or in lines of them.
  const [whole, part] = tiles.sharing === 'workgroup' ? [size.depth, 4 * tiles.depth] : [batch * target[0], 1];
  return {
    key: `conv2d/weight-gradient/${tiling}/rows${rowUnit}/columns${columnUnit}`,
    code: () => weightGradientWgsl(tiles, vectors),
    ...(tiles.sharing === 'subgroup' && { extensions: ['subgroups'] }),
    bindings: [
      { name: 'source', type: vectors.rows ? 'vec4f' : 'f32', operand: x },
      { name: 'cotangent', type: vectors.columns ? 'vec4f' : 'f32', operand: cotangent },
      ...epilogueBindings(NOTHING, vectors.columns, cotangent, dw),
    ],
    uniforms: [
      ...tilesUniforms(tiles, size),
      ['splits', 'u32', parts.splits],
      ['split_depth', 'u32', Math.ceil(whole / parts.splits / part) * part],
      ['y_split', 'u32', parts.numbers],
      ['memory_depth', 'u32', tiles.depth],
      ['groups', 'u32', groups],
      ['rows', 'u32', rows],
      ['source_pixel', 'u32', (groups * rows) / rowUnit],
      ['source_group', 'u32', rows / rowUnit],
      ['cotangent_score', 'u32', (size.depth * groups * columns) / columnUnit],
      ['cotangent_pixel', 'u32', (groups * columns) / columnUnit],
      ['cotangent_group', 'u32', columns / columnUnit],
      ...commonUniforms(conv, pair, NOTHING),
    ],
    workgroups: workgroupGrid(countWorkgroups(tiles, size, parts.splits)),
  };
}

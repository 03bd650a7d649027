import { at } from '../../tensor/shape.ts';
import { linearGrid, linearMain, type ProgramOperand, type Uniform, type WgslProgram } from '../webgpu/program.ts';
import { storeWgsl, upTo } from './conv2d.wgsl.ts';
import type { GatherShape } from './geometry.ts';
import { phases } from './phases.ts';

/*
 * 3x3 convolutions by minimal filtering, F(4x4, 3x3): each 4 x 4 pixels of the result need 36 products for each pair of
 * channels in place of 144 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016).
 *
 *   y = A^T [ sum over channels of (G g G^T) . (B^T d B) ] A,   with d the 6 x 6 values below a tile of y
 *
 * The points of interpolation are 0, 1, -1, 2, -2 and infinity. Lagrange's divisors 4, -6, -6, 24, 24 and 1 stand in A.
 * The sums over channels are a convolution of 36 groups with a 1x1 kernel over an image of one row, whose pixels are the tiles.
 */
const TILE = 4;
const WINDOW = 6;
export const MATRICES = WINDOW * WINDOW;

const BT = [
  [4, 0, -5, 0, 1, 0],
  [0, -4, -4, 1, 1, 0],
  [0, 4, -4, -1, 1, 0],
  [0, -2, -1, 2, 1, 0],
  [0, 2, -1, -2, 1, 0],
  [0, 4, 0, -5, 0, 1],
];
const G = [
  [1, 0, 0],
  [1, 1, 1],
  [1, -1, 1],
  [1, 2, 4],
  [1, -2, 4],
  [0, 0, 1],
];
const AT = [
  [1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 0],
  [0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0],
  [0, -1 / 6, -1 / 6, 1 / 6, 1 / 6, 0],
  [0, -1 / 6, 1 / 6, 1 / 3, -1 / 3, 1],
];

type Matrix = readonly (readonly number[])[];

const grid = (down: number, across: number, line: (i: number, j: number) => string) =>
  upTo(down)
    .flatMap((i) => upTo(across).map((j) => line(i, j)))
    .join('\n');

/** sum over k of row[k] * value(k) */
const combine = (row: readonly number[], value: (k: number) => string) =>
  row.flatMap((factor, k) => (factor === 0 ? [] : [factor === 1 ? value(k) : `${factor} * ${value(k)}`])).join(' + ');

/** `y<i>_<j>` of M x M^T, from `x<i>_<j>` of a square matrix. */
function sandwich(M: Matrix): string {
  const [rows, size] = [M.length, M[0]?.length ?? 0];
  return `${grid(rows, size, (i, j) => `  let t${i}_${j} = ${combine(M[i] ?? [], (k) => `x${k}_${j}`)};`)}
${grid(rows, rows, (i, j) => `  let y${i}_${j} = ${combine(M[j] ?? [], (k) => `t${i}_${k}`)};`)}`;
}

/** Tiles of the result over all images. */
export function winogradTiles({ batch, target }: GatherShape): number {
  return batch * Math.ceil(target[0] / TILE) * Math.ceil(target[1] / TILE);
}

/**
 * G g G^T: [36][column][row]. A thread does four rows of a column.
 * @param tap where the first tap lies, and how far it is to the next down and across, in vectors of rows
 */
export function weightsProgram(
  { rows, columns }: GatherShape,
  tap: { readonly first: number; readonly down: number; readonly across: number; readonly channel: number },
): WgslProgram {
  const blocks = rows / 4;
  return {
    key: 'conv2d/winograd/weights',
    code: () =>
      linearMain(
        'u.count',
        `  let start = u.first + i32(index / u.blocks * u.channel + index % u.blocks);
${grid(3, 3, (i, j) => `  let x${i}_${j} = w[start + ${i} * u.down + ${j} * u.across];`)}
${sandwich(G)}
${grid(WINDOW, WINDOW, (i, j) => `  y[${WINDOW * i + j}u * u.count + index] = y${i}_${j};`)}`,
      ),
    bindings: [
      { name: 'w', type: 'vec4f', operand: { input: 0 } },
      { name: 'y', type: 'vec4f', operand: { output: 0 } },
    ],
    uniforms: [
      ['count', 'u32', columns * blocks],
      ['blocks', 'u32', blocks],
      ['channel', 'u32', tap.channel],
      ['first', 'i32', tap.first],
      ['down', 'i32', tap.down],
      ['across', 'i32', tap.across],
    ],
    workgroups: linearGrid(columns * blocks),
  };
}

/** Which tile of which image a thread does; its first pixel is (y, x). */
const LOCATE = `
struct Place {
  image: u32,
  y: u32,
  x: u32,
}

fn place_of(tile: u32) -> Place {
  let within = tile % (u.tiles_h * u.tiles_w);
  return Place(tile / (u.tiles_h * u.tiles_w), within / u.tiles_w * ${TILE}u, within % u.tiles_w * ${TILE}u);
}`;

function tileUniforms(conv: GatherShape, channels: number): Uniform[] {
  const { target } = conv;
  return [
    ['count', 'u32', (winogradTiles(conv) * channels) / 4],
    ['blocks', 'u32', channels / 4],
    ['tiles_h', 'u32', Math.ceil(target[0] / TILE)],
    ['tiles_w', 'u32', Math.ceil(target[1] / TILE)],
  ];
}

/** B^T d B: [tile][36][row]. A thread does four rows of a tile; neighbours read rows that follow each other. */
export function inputProgram(conv: GatherShape, to: ProgramOperand): WgslProgram {
  const { source, rows } = conv;
  const [down, across] = [at(phases(conv, 0), 0), at(phases(conv, 1), 0)];
  const uniforms = tileUniforms(conv, rows);
  return {
    key: 'conv2d/winograd/input',
    code: () => `${LOCATE}
fn load(image: u32, y: u32, x: u32, block: u32) -> vec4f {
  // Negative positions are large ones.
  let inside = (y < u.source_h) & (x < u.source_w);
  let at = ((image * u.source_h + y) * u.source_w + x) * u.blocks + block;
  return select(vec4f(), source[select(0u, at, inside)], inside);
}

${linearMain(
  'u.count',
  `  let block = index % u.blocks;
  let tile = index / u.blocks;
  let place = place_of(tile);
  let top = u32(i32(place.y) + u.offset_h);
  let left = u32(i32(place.x) + u.offset_w);
${grid(WINDOW, WINDOW, (i, j) => `  let x${i}_${j} = load(place.image, top + ${i}u, left + ${j}u, block);`)}
${sandwich(BT)}
  let to = tile * ${MATRICES}u * u.blocks + block;
${grid(WINDOW, WINDOW, (i, j) => `  v[to + ${WINDOW * i + j}u * u.blocks] = y${i}_${j};`)}`,
)}`,
    bindings: [
      { name: 'source', type: 'vec4f', operand: { input: 0 } },
      { name: 'v', type: 'vec4f', operand: to },
    ],
    uniforms: [
      ...uniforms,
      ['source_h', 'u32', source[0]],
      ['source_w', 'u32', source[1]],
      ['offset_h', 'i32', down.taps.offset],
      ['offset_w', 'i32', across.taps.offset],
    ],
    workgroups: linearGrid((winogradTiles(conv) * rows) / 4),
  };
}

/**
 * A^T m A, and what follows the sums. A thread does four columns of a tile.
 * @param epilogue the bindings and uniforms of `storeWgsl`
 */
export function outputProgram(
  conv: GatherShape,
  from: ProgramOperand,
  epilogue: Pick<WgslProgram, 'bindings' | 'uniforms'>,
): WgslProgram {
  const { target, columns } = conv;
  return {
    key: 'conv2d/winograd/output',
    code: () => `${LOCATE}
${storeWgsl(true)}
var<private> pixels: array<vec4f, ${TILE * TILE}>;

${linearMain(
  'u.count',
  `  let block = index % u.blocks;
  let tile = index / u.blocks;
  let place = place_of(tile);
  let start = tile * ${MATRICES}u * u.blocks + block;
${grid(WINDOW, WINDOW, (i, j) => `  let x${i}_${j} = m[start + ${WINDOW * i + j}u * u.blocks];`)}
${sandwich(AT)}
  let first = bias_of(4u * block);
${grid(TILE, TILE, (i, j) => `  pixels[${TILE * i + j}] = first + y${i}_${j};`)}
  // Their number is a uniform, see \`convolutionWgsl\`.
  for (var i = 0u; i < u.pixels; i++) {
    let y = place.y + i / ${TILE}u;
    let x = place.x + i % ${TILE}u;
    if ((y < u.target_h) & (x < u.target_w)) {
      let pixel = (place.image * u.target_h + y) * u.target_w + x;
      store(pixels[i], 4u * (pixel * u.blocks + block), 4u);
    }
  }`,
)}`,
    bindings: [{ name: 'm', type: 'vec4f', operand: from }, ...epilogue.bindings],
    uniforms: [
      ...tileUniforms(conv, columns),
      ['target_h', 'u32', target[0]],
      ['target_w', 'u32', target[1]],
      ['pixels', 'u32', TILE * TILE],
      ...epilogue.uniforms,
    ],
    workgroups: linearGrid((winogradTiles(conv) * columns) / 4),
  };
}

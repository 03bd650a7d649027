import { linearMain } from '../webgpu/program.ts';
import type { Tiles } from '../webgpu/tiles.ts';

/** Which channels can be read and written four at a time: those of a group are a multiple of four. */
export interface Vectors {
  /** The channels that are summed over. */
  readonly rows: boolean;
  /** The channels of the result. */
  readonly columns: boolean;
}

export const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
export const lines = (count: number, line: (i: number) => string) => upTo(count).map(line).join('\n');

/**
 * A convolution, or a phase of its gradient with respect to the input, as an implicit matrix product (see
 * `GatherConvolution` and `Phase`):
 *
 *   y[p, c] = act(bias[c] + residual[p, c] + sum over taps t, rows r of  source[at(p, t), r] * w[c, t, r])
 *
 * Four rows are multiplied at a time: a vector of the source times a 4 x 4 matrix of weights adds to four channels.
 *
 * Tile: a thread sums `channels` channels of `pixels` pixels in registers; the `down` x `across` threads of its workgroup
 * take further channels and further pixels, neighbours across neighbouring pixels. Grid: linear over pixel tiles (the
 * fastest), the channel tiles of a group, and groups. How the threads of a tile share what they have in common:
 *
 *   register   not at all: each loads every weight that it needs.
 *   subgroup   the first `lanes` threads of a subgroup load different weights and broadcast them, or quads exchange theirs.
 *   workgroup  `depth` vectors of each channel and pixel of the tile lie in workgroup memory at a time.
 *
 * The depth may be split: then the sums of each part go to a copy of y of their own (see `splitSumsWgsl`).
 *
 * Memory: pixels of source and y, and their groups, lie `source_pixel`, `source_group`, `y_pixel` and `y_group` apart, which makes
 * them channels-last, or matrices one after the other; w[c] is [kh][kw][rows]. Whatever else there is to know is a uniform, so that one
 * pipeline serves all shapes.
 */
export function convolutionWgsl(tiles: Tiles, vectors: Vectors): string {
  const { sharing, across } = tiles;
  return productWgsl(tiles, vectors, {
    declarations: `${TAPS}
${loadWgsl('source', 'depth', vectors.rows)}
${loadWgsl('w', 'depth', vectors.rows)}
${sharing === 'workgroup' ? workgroupMemory(tiles) : ''}

fn has_pixel(pixel: u32) -> bool {
  return pixel < u.pixels;
}

fn y_at(group: u32, pixel: u32) -> u32 {
  return group * u.y_group + target_at(pixel) * u.y_pixel;
}`,
    sum: `  let p = first_pixel + thread % ${across}u;
${sharing === 'workgroup' ? sumFromWorkgroupMemory(tiles, vectors.rows) : sumFromBuffers(tiles, vectors.rows)}`,
    pixel: `p + j * ${across}u`,
  });
}

/** What tells matrix products in tiles apart. */
interface ProductCode {
  /** They include `has_pixel(pixel)`, and `y_at(group, pixel)`: where the channels of a pixel begin in the result. */
  readonly declarations: string;
  /** Adds to the sums, see `eachSum`. It sees group, split, first_channel, first_pixel, thread, and c, the first channel of the thread. */
  readonly sum: string;
  /** The number of a thread's j-th pixel. */
  readonly pixel: string;
}

/**
 * A matrix product in tiles, of which a thread sums `channels` x `pixels` in registers. Grid: linear over tiles, groups and splits,
 * see `tileOrder`.
 */
export function productWgsl(tiles: Tiles, vectors: Vectors, { declarations, sum, pixel }: ProductCode): string {
  const { sharing, pixels, channels, down, across, together } = tiles;
  const threads = down * across;
  const channel = (i: string) => `c + 4u * ${hasQuads(tiles) ? `(${i} ^ quad)` : i}`;
  const { private: array, keep, ofPixel, ofChannels } = sumsToStore(tiles);
  // A tile is a subgroup then, which a compiler cannot know.
  const uniform = sharing === 'subgroup' && together > 1 ? '@diagnostic(off, subgroup_uniformity)' : '';
  return `${ADDRESSES}
${storeWgsl(vectors.columns)}
${declarations}
${array}

${uniform}
@compute @workgroup_size(${together * threads})
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
${sharing === 'subgroup' ? '  @builtin(subgroup_invocation_id) lane: u32,' : ''}
) {
  let number = workgroup.y * workgroups.x + workgroup.x;
  let index = ${together > 1 ? `number * ${together}u + local / ${threads}u` : 'number'};
  let thread = local % ${threads}u;
  let split = index / u.tiles;
  let tile = index % u.tiles;
  if (split >= u.splits) { return; }
${tileOrder(tiles)}
  let first_channel = channel_tile * ${down * channels}u;
  let first_pixel = pixel_tile * ${across * pixels}u;
  let c = first_channel + thread / ${across}u * ${channels}u;
${hasQuads(tiles) ? '  let quad = lane % 4u;' : ''}
${lines(channels / 4, (i) => `  let bias${i} = bias_of(group * u.columns + ${channel(`${i}u`)});`)}
${eachSum(tiles, (sum, index) => `  var ${sum} = bias${Math.floor(index / pixels)};`)}
${sum}
${keep}
  // Their numbers are uniforms: a driver that knew them would unroll the loops, and compile for ten times as long.
  for (var j = 0u; j < u.thread_pixels; j++) {
    let pixel = ${pixel};
    if (!has_pixel(pixel)) { continue; }
    let to = split * u.y_split + y_at(group, pixel);
${ofPixel}
    for (var i = 0u; i < u.thread_vectors; i++) {
${ofChannels}
      let channel = ${channel('i')};
      if (channel < u.columns) { store(value, to + channel, u.columns - channel); }
    }
  }
}`;
}

/**
 * What follows what. Tiles in workgroup memory: pixels, channels, groups. Others are wide and read pixels from a cache, once for all
 * channels of a group: channels, pixels, groups. Those of a single thread read and write what lies side by side: channels, groups,
 * pixels.
 */
function tileOrder({ sharing, down, across }: Tiles): string {
  if (sharing === 'workgroup') {
    return `  let pixel_tile = tile % u.pixel_tiles;
  let channel_tile = tile / u.pixel_tiles % u.channel_tiles;
  let group = tile / u.pixel_tiles / u.channel_tiles;`;
  }
  const [pixelTile, group] =
    down * across === 1
      ? ['tile / (u.tiles / u.pixel_tiles)', 'beside % (u.tiles / u.pixel_tiles / u.channel_tiles)']
      : ['beside % u.pixel_tiles', 'beside / u.pixel_tiles'];
  return `  let channel_tile = tile % u.channel_tiles;
  let beside = tile / u.channel_tiles;
  let pixel_tile = ${pixelTile};
  let group = ${group};`;
}

/** As many can be told apart by comparisons; more of them wait in an array, which few compilers keep in registers. */
const FEW_SUMS = 32;

/** Code that makes the sum of pixel j and channels 4i to 4i + 3 `value`. */
function sumsToStore(tiles: Tiles) {
  const { channels, pixels } = tiles;
  const vectors = channels / 4;
  if (vectors * pixels > FEW_SUMS) {
    return {
      private: `var<private> sums: array<vec4f, ${vectors * pixels}>;`,
      keep: eachSum(tiles, (sum, i) => `  sums[${i}] = ${sum};`),
      ofPixel: '',
      ofChannels: `      let value = sums[i * ${pixels}u + j];`,
    };
  }
  const pick = (name: string, from: (k: number) => string, count: number, index: string) =>
    lines(count, (k) =>
      k === 0 ? `var ${name} = ${from(k)};` : `${name} = select(${name}, ${from(k)}, ${index} == ${k}u);`,
    );
  return {
    private: '',
    keep: '',
    ofPixel: lines(vectors, (i) => pick(`value${i}`, (j) => `sum${i}_${j}`, pixels, 'j')),
    ofChannels: pick('value', (i) => `value${i}`, vectors, 'i'),
  };
}

/** A line for each sum: `sum<i>_<j>` is that of channels 4i to 4i + 3 of pixel j; with quads, i stands for `i ^ quad`. */
export function eachSum({ channels, pixels }: Tiles, line: (sum: string, index: number) => string): string {
  return lines((channels / 4) * pixels, (i) => line(`sum${Math.floor(i / pixels)}_${i % pixels}`, i));
}

/**
 * Adds the products of the matrix `w<i>` to the sums of its channels: `sum<i>_<j> += s<j> * w<i>`, written out, which SwiftShader
 * computes in a sixth less time.
 */
function addProducts(i: number, pixels: number): string {
  const product = (j: number, q: number) =>
    ['x', 'y', 'z', 'w'].map((k) => `s${j}.${k} * w${i}[${q}].${k}`).join(' + ');
  return lines(pixels, (j) =>
    upTo(4)
      .map((q) => `sum${i}_${j}[${q}] += ${product(j, q)};`)
      .join('\n'),
  );
}

/** `window_of`: what a pixel of the result is computed from. Positions along an axis and their taps are those of a `Phase`. */
export const WINDOWS = `
struct Window {
  image: u32,
  // Where its first tap reads, which may be outside of the source.
  y: i32,
  x: i32,
}

fn window_of(pixel: u32) -> Window {
  let p = min(pixel, u.pixels - 1u);
  let within = p % (u.count_h * u.count_w);
  return Window(
    p / (u.count_h * u.count_w),
    i32(within / u.count_w * u.stride_h) + u.offset_h,
    i32(within % u.count_w * u.stride_w) + u.offset_w,
  );
}`;

const ADDRESSES = `${WINDOWS}

const OUTSIDE = 0xffffffffu;

// Where the rows of a group begin that a window reads with tap (ty, tx), or OUTSIDE.
fn source_at(window: Window, ty: u32, tx: u32, group: u32) -> u32 {
  // Negative positions become large ones.
  let y = u32(window.y + i32(ty * u.offset_step_h));
  let x = u32(window.x + i32(tx * u.offset_step_w));
  let at = ((window.image * u.source_h + y) * u.source_w + x) * u.source_pixel + group * u.source_group;
  return select(OUTSIDE, at, (y < u.source_h) & (x < u.source_w));
}

// The number of a pixel in the result.
fn target_at(pixel: u32) -> u32 {
  let within = pixel % (u.count_h * u.count_w);
  let y = u.first_h + within / u.count_w * u.step_h;
  let x = u.first_w + within % u.count_w * u.step_w;
  return (pixel / (u.count_h * u.count_w) * u.target_h + y) * u.target_w + x;
}`;

const TAPS = `
// Where the rows of a tap begin, from the first weight of a channel.
fn tap_at(ty: u32, tx: u32) -> u32 {
  let y = u32(u.tap_h + i32(ty) * u.tap_step_h);
  let x = u32(u.tap_w + i32(tx) * u.tap_step_w);
  return (y * u.kernel_w + x) * u.w_tap;
}`;

/** What four rows are in elements of the buffers, which rows are counted in. */
export const stepOf = (vectors: boolean) => (vectors ? '1u' : '4u');

/** `load_<name>`: number i and the three behind it of those that begin at an address; 0 beyond the last one, which a uniform counts. */
export function loadWgsl(name: string, count: string, vectors: boolean): string {
  return `
fn load_${name}(at: u32, i: u32) -> vec4f {
${
  vectors
    ? `  return vec4f(${name}[at + i]);`
    : `  let numbers = i + vec4u(0u, 1u, 2u, 3u);
  let each = at + min(numbers, vec4u(u.${count} - 1u));
  let all = vec4f(${['x', 'y', 'z', 'w'].map((q) => `f32(${name}[each.${q}])`)});
  return select(vec4f(), all, numbers < vec4u(u.${count}));`
}
}`;
}

/**
 * `bias_of`: that of a channel and the three behind it; and `store`: up to four sums, of a channel and those that follow it, at an
 * address; all of a vector or the first `left`. They need the buffers bias, residual and y, and the uniforms has_bias, has_residual
 * and relu.
 */
export function storeWgsl(vectors: boolean): string {
  const [type, bool] = vectors ? ['vec4f', 'vec4<bool>'] : ['f32', 'bool'];
  return `
fn bias_of(channel: u32) -> vec4f {
  if (u.has_bias == 0u) { return vec4f(); }
${
  vectors
    ? '  return bias[channel / 4u];'
    : `  let each = min(channel + vec4u(0u, 1u, 2u, 3u), vec4u(arrayLength(&bias) - 1u));
  return vec4f(bias[each.x], bias[each.y], bias[each.z], bias[each.w]);`
}
}

fn finish(sum: ${type}, to: u32) {
  var value = sum;
  if (u.has_residual == 1u) { value += residual[to]; }
  // Not max(): a NaN has to come through.
  y[to] = select(value, ${type}(), (value < ${type}()) & ${bool}(u.relu == 1u));
}

fn store(sum: vec4f, to: u32, left: u32) {
${vectors ? '  finish(sum, to / 4u);' : '  for (var i = 0u; i < min(left, 4u); i++) { finish(sum[i], to + i); }'}
}`;
}

function sumFromBuffers(tiles: Tiles, vectors: boolean): string {
  const { channels, pixels, across } = tiles;
  const weights = commonLoads(tiles, 4, (n) => `load_w(w_at${n}, r)`);
  return `${lines(pixels, (j) => `  let window${j} = window_of(p + ${j * across}u);`)}
${lines(
  weights.count,
  (i) => `  let w_from${i} = group * u.w_group + min(c + ${weights.number(i)}, u.columns - 1u) * u.w_channel;`,
)}
  let first_row = split * u.split_depth;
  let last_row = min(first_row + u.split_depth, u.depth);
  for (var tap = 0u; tap < u.taps_h * u.taps_w; tap++) {
    let ty = tap / u.taps_w;
    let tx = tap % u.taps_w;
    let w_tap = tap_at(ty, tx);
${lines(weights.count, (i) => `    let w_at${i} = w_from${i} + w_tap;`)}
${lines(
  pixels,
  (j) => `    let from${j} = source_at(window${j}, ty, tx, group);
    let inside${j} = from${j} != OUTSIDE;
    let at${j} = select(0u, from${j}, inside${j});`,
)}
    for (var r = first_row; r < last_row; r += ${stepOf(vectors)}) {
${lines(pixels, (j) => `      let s${j} = select(vec4f(), load_source(at${j}, r), inside${j});`)}
${lines(
  channels / 4,
  (i) => `${weights.load(i)}
      let w${i} = mat4x4f(${upTo(4).map((q) => weights.value(i, q))});
${addProducts(i, pixels)}`,
)}
    }
  }`;
}

/** How a thread comes by what all threads of its subgroup need: for each four of its channels, so many vectors. */
interface CommonLoads {
  /** Number of vectors that it loads itself. */
  readonly count: number;
  /** Which of them all is the n-th of those. */
  readonly number: (n: number) => string;
  /** Code in front of the first use of those of channels 4i to 4i + 3. */
  readonly load: (i: number) => string;
  /** The q-th vector of channels 4i to 4i + 3. */
  readonly value: (i: number, q: number) => string;
}

/** Whether the threads of a subgroup share by swapping with those of their quad. */
export function hasQuads({ sharing, lanes }: Tiles): boolean {
  return sharing === 'subgroup' && lanes === QUAD;
}

const QUAD = 4;

/** What a thread has from thread `quad ^ i` of its quad. */
const fromQuad = (i: number, value: string) =>
  i === 0 ? value : `quadSwap${i === 1 ? 'X' : i === 2 ? 'Y' : 'Diagonal'}(${value})`;

/**
 * Each thread loads all of them, or the first `lanes` threads of a subgroup load different ones and broadcast them. A thread
 * with a higher number loads the same as one before it, and nobody asks it.
 *
 * Where four threads share, thread `quad` loads those of channels 4 quad to 4 quad + 3, and has in place of those of 4i what
 * thread `i ^ quad` loaded: a swap is one instruction of a CPU, where a broadcast is about ten.
 * @param each vectors for each four channels
 * @param load what a thread loads as its n-th vector
 */
export function commonLoads(tiles: Tiles, each: number, load: (n: number) => string): CommonLoads {
  const { sharing, channels, lanes } = tiles;
  const vectors = (channels / 4) * each;
  const mine = (n: number) => `        let mine${n} = ${load(n)};`;
  if (sharing !== 'subgroup') {
    return { count: vectors, number: (n) => `${n}u`, load: () => '', value: (i, q) => load(i * each + q) };
  }
  if (hasQuads(tiles)) {
    const first = (i: number) => Math.floor(i / QUAD) * each;
    return {
      count: vectors / QUAD,
      number: (n) => `${Math.floor(n / each) * QUAD * each + (n % each)}u + ${each}u * quad`,
      load: (i) => (i % QUAD === 0 ? lines(each, (q) => mine(first(i) + q)) : ''),
      value: (i, q) => fromQuad(i % QUAD, `mine${first(i) + q}`),
    };
  }
  return {
    count: vectors / lanes,
    number: (n) => `${n * lanes}u + lane % ${lanes}u`,
    load: (i) => lines(each, (q) => ((i * each + q) % lanes === 0 ? mine((i * each + q) / lanes) : '')),
    value: (i, q) => `subgroupBroadcast(mine${Math.floor((i * each + q) / lanes)}, ${(i * each + q) % lanes}u)`,
  };
}

/** Vectors beside each other belong to neighbouring channels or pixels: threads read them from different banks. */
function workgroupMemory({ channels, pixels, down, across, depth }: Tiles): string {
  return `var<workgroup> w_tile: array<vec4f, ${depth * down * channels}>;
var<workgroup> source_tile: array<vec4f, ${depth * across * pixels}>;`;
}

/**
 * The vectors of all taps, one after the other, make blocks of `depth`. A thread fetches the same vector of each block for
 * some channels and pixels, so that neighbours read vectors that follow each other.
 */
function sumFromWorkgroupMemory({ channels, pixels, down, across, depth }: Tiles, vectors: boolean): string {
  const [tileChannels, tilePixels] = [down * channels, across * pixels];
  /** Channels or pixels that are fetched at once. */
  const slots = (down * across) / depth;
  const step = stepOf(vectors);
  return `  let vector_in_block = thread % ${depth}u;
  let slot = thread / ${depth}u;
${lines(
  tileChannels / slots,
  (i) => `  let channel${i} = min(first_channel + slot + ${i * slots}u, u.columns - 1u);
  let w_from${i} = group * u.w_group + channel${i} * u.w_channel;`,
)}
${lines(tilePixels / slots, (j) => `  let window${j} = window_of(first_pixel + slot + ${j * slots}u);`)}
  let tap_vectors = (u.depth + ${step} - 1u) / ${step};
  let first_vector = split * u.split_depth;
  let last_vector = min(first_vector + u.split_depth, u.taps_h * u.taps_w * tap_vectors);
  for (var block = first_vector; block < last_vector; block += ${depth}u) {
    let vector = block + vector_in_block;
    let exists = vector < last_vector;
    let tap = vector / tap_vectors;
    let ty = tap / u.taps_w;
    let tx = tap % u.taps_w;
    let r = vector % tap_vectors * ${step};
    let w_tap = tap_at(ty, tx);
${lines(tileChannels / slots, (i) => {
  const to = `w_tile[vector_in_block * ${tileChannels}u + slot + ${i * slots}u]`;
  return `    ${to} = select(vec4f(), load_w(w_from${i} + w_tap, r), exists);`;
})}
${lines(tilePixels / slots, (j) => {
  const to = `source_tile[vector_in_block * ${tilePixels}u + slot + ${j * slots}u]`;
  return `    let from${j} = source_at(window${j}, ty, tx, group);
    let inside${j} = exists & (from${j} != OUTSIDE);
    ${to} = select(vec4f(), load_source(select(0u, from${j}, inside${j}), r), inside${j});`;
})}
    workgroupBarrier();
    for (var k = 0u; k < ${depth}u; k++) {
      let channel_at = k * ${tileChannels}u + c - first_channel;
      let pixel_at = k * ${tilePixels}u + p - first_pixel;
${lines(pixels, (j) => `      let s${j} = source_tile[pixel_at + ${j * across}u];`)}
${lines(
  channels / 4,
  (i) => `      let w${i} = mat4x4f(${upTo(4).map((q) => `w_tile[channel_at + ${4 * i + q}u]`)});
${addProducts(i, pixels)}`,
)}
    }
    workgroupBarrier();
  }`;
}

/** Adds up the sums of all parts, four channels or one for each thread, with what follows the sums. */
export function splitSumsWgsl(vectors: boolean): string {
  const width = vectors ? 4 : 1;
  return `${storeWgsl(vectors)}
${linearMain(
  'u.count',
  `  let to = index * ${width}u;
  var sum = bias_of(to % u.channels)${vectors ? '' : '.x'};
  for (var split = 0u; split < u.splits; split++) { sum += part[split * u.count + index]; }
  store(vec4f(sum), to, ${width}u);`,
)}`;
}

/** Pixels that a thread of `depthwiseWgsl` computes. */
export const DEPTHWISE_PIXELS = 4;

/**
 * The same where each channel is a group: y[p, c] = act(bias[c] + residual[p, c] + sum over t of source[at(p, t), c] * w[t, c]).
 *
 * Tile: a thread sums 4 consecutive pixels of 4 channels, or of one where they are no multiple of 4. Grid: linear over
 * channels (the fastest, so that neighbours read what lies side by side) and pixels. Memory: w is [kh][kw][channels].
 */
export function depthwiseWgsl(vectors: boolean): string {
  const [width, type] = vectors ? [4, 'vec4f'] : [1, 'f32'];
  return `${ADDRESSES}
${TAPS}
${storeWgsl(vectors)}
${linearMain(
  'u.tiles',
  `  let blocks = u.channels / ${width}u;
  let block = index % blocks;
  let p = index / blocks * ${DEPTHWISE_PIXELS}u;
  let first = bias_of(block * ${width}u)${vectors ? '' : '.x'};
${lines(DEPTHWISE_PIXELS, (j) => `  let window${j} = window_of(p + ${j}u);\n  var sum${j} = first;`)}
  for (var ty = 0u; ty < u.taps_h; ty++) {
    for (var tx = 0u; tx < u.taps_w; tx++) {
      let weight = ${type}(w[tap_at(ty, tx) + block]);
${lines(
  DEPTHWISE_PIXELS,
  (j) => `      let from${j} = source_at(window${j}, ty, tx, block);
      let inside${j} = from${j} != OUTSIDE;
      sum${j} += select(${type}(), source[select(0u, from${j}, inside${j})], inside${j}) * weight;`,
)}
    }
  }
${lines(
  DEPTHWISE_PIXELS,
  (j) =>
    `  if (p + ${j}u < u.pixels) { store(vec4f(sum${j}), target_at(p + ${j}u) * u.channels + block * ${width}u, ${width}u); }`,
)}`,
)}`;
}

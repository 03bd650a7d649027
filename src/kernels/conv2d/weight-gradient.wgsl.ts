import type { Tiles } from '../webgpu/tiles.ts';
import { commonLoads, lines, loadWgsl, productWgsl, stepOf, upTo, type Vectors } from './conv2d.wgsl.ts';

/**
 * The gradient of K scores with respect to a weight, as an implicit matrix product that sums over the pixels of all images:
 *
 *   dw[k, t, r, c] = sum over n, p of x[n, p*stride - padding + t*dilation, r] * cotangent[k, n, p, c].
 *
 * Of its result, the rows of all taps lie down (in whole vectors of each tap), in place of the pixels of a convolution, and channels across:
 * a vector of four rows of x times a vector of four channels of the cotangent adds to 4 x 4 sums.
 *
 * Tile: a thread sums `channels` channels of `pixels` rows in registers, neighbours across neighbouring vectors of rows. Grid:
 * that of `productWgsl`, with a group for each score and each group of channels. How threads of a tile share what they have in common:
 *
 *   register   not at all: each loads all that it needs.
 *   subgroup   the first `lanes` threads of a subgroup load different vectors of the cotangent and broadcast them, or quads exchange theirs.
 *   workgroup  the rows and channels of 4 `depth` pixels lie in workgroup memory at a time.
 *
 * The pixels may be split: the sums of each part, so many lines of the target, or pixels in workgroup memory, go to a copy of dw of their own.
 *
 * Memory: x (here `source`) and the cotangent are channels-last; dw (`y`) is [K][kh][kw][rows][out]. Shapes are uniforms.
 */
export function weightGradientWgsl(tiles: Tiles, vectors: Vectors): string {
  const { sharing, across } = tiles;
  const inMemory = sharing === 'workgroup';
  return productWgsl(tiles, vectors, {
    declarations: `${loadWgsl('source', 'rows', vectors.rows)}
${loadWgsl('cotangent', 'columns', vectors.columns)}
${rowsWgsl(vectors)}
${inMemory ? workgroupMemory(tiles) : ''}`,
    sum: `  let vector = first_pixel / 4u + thread % ${across}u;
${inMemory ? sumFromWorkgroupMemory(tiles) : sumFromBuffers(tiles)}`,
    pixel: `4u * (vector + j / 4u * ${across}u) + j % 4u`,
  });
}

/** Where rows and channels lie. */
const rowsWgsl = (vectors: Vectors) => `
struct Rows {
  ty: u32,
  tx: u32,
  // The first of four, in elements of the buffer.
  r: u32,
}

// The vectors of rows follow each other tap by tap; those beyond the last are read as the last, and not stored.
fn rows_of(vector: u32) -> Rows {
  let vectors = (u.rows + 3u) / 4u;
  let v = min(vector, u.taps_h * u.taps_w * vectors - 1u);
  let tap = v / vectors;
  return Rows(tap / u.taps_w, tap % u.taps_w, v % vectors * ${stepOf(vectors.rows)});
}

// The first of four channels, in elements of the buffer.
fn channels_of(channel: u32) -> u32 {
  return min(channel, u.columns - 1u) / 4u * ${stepOf(vectors.columns)};
}

// Where the channels of a group and score begin in pixel 0 of the cotangent.
fn cotangent_of(group: u32) -> u32 {
  return group / u.groups * u.cotangent_score + group % u.groups * u.cotangent_group;
}

fn has_pixel(row: u32) -> bool {
  let rows = (u.rows + 3u) / 4u * 4u;
  return row < u.taps_h * u.taps_w * rows && row % rows < u.rows;
}

fn y_at(group: u32, row: u32) -> u32 {
  let rows = (u.rows + 3u) / 4u * 4u;
  let tap = group / u.groups * u.taps_h * u.taps_w + row / rows;
  return ((tap * u.rows + row % rows) * u.groups + group % u.groups) * u.columns;
}

// Positions along an axis from which one of the taps between two reads inside of the source: the first, and that behind the last.
fn reaching(tap: u32, last_tap: u32, offset: i32, step: u32, stride: u32, count: u32, size: u32) -> vec2u {
  let first = (max(-(offset + i32(last_tap * step)), 0) + i32(stride) - 1) / i32(stride);
  let last = max(i32(size) - offset - i32(tap * step) + i32(stride) - 1, 0) / i32(stride);
  return vec2u(u32(first), min(u32(last), count));
}`;

/** Adds the products of the rows `x<j>` and the channels `d<i>`. */
function addProducts({ channels, pixels }: Tiles): string {
  return upTo(channels / 4)
    .flatMap((i) => upTo(pixels).map((j) => `sum${i}_${j} += x${Math.floor(j / 4)}[${j % 4}] * d${i};`))
    .join('\n');
}

/** Lines and positions in them from which no thread of the tile reads inside of the source are left out. */
function sumFromBuffers(tiles: Tiles): string {
  const { channels, pixels, across } = tiles;
  const cotangents = commonLoads(tiles, 1, (n) => `load_cotangent(cotangent_at, channel${n})`);
  return `${lines(pixels / 4, (j) => `  let rows${j} = rows_of(vector + ${j * across}u);`)}
${lines(cotangents.count, (i) => `  let channel${i} = channels_of(c + 4u * (${cotangents.number(i)}));`)}
  let first_rows = rows_of(first_pixel / 4u);
  let last_rows = rows_of(first_pixel / 4u + ${(across * pixels) / 4 - 1}u);
  // Of taps, those of the tile: all threads agree on what to leave out, which a broadcast needs.
  let one_line = first_rows.ty == last_rows.ty;
  let first_tx = select(0u, first_rows.tx, one_line);
  let last_tx = select(u.taps_w - 1u, last_rows.tx, one_line);
  let y_range = reaching(first_rows.ty, last_rows.ty, u.offset_h, u.offset_step_h, u.stride_h, u.count_h, u.source_h);
  let x_range = reaching(first_tx, last_tx, u.offset_w, u.offset_step_w, u.stride_w, u.count_w, u.source_w);
  let cotangent_from = cotangent_of(group);
  let last_line = min((split + 1u) * u.split_depth, u.pixels / u.count_w);
  for (var line = split * u.split_depth; line < last_line; line++) {
    let py = line % u.count_h;
    if (py < y_range.x || py >= y_range.y) { continue; }
    let image = line / u.count_h;
    let y = i32(py * u.stride_h) + u.offset_h;
    for (var px = x_range.x; px < x_range.y; px++) {
      let window = Window(image, y, i32(px * u.stride_w) + u.offset_w);
      let cotangent_at = cotangent_from + (line * u.count_w + px) * u.cotangent_pixel;
${lines(
  pixels / 4,
  (j) => `      let from${j} = source_at(window, rows${j}.ty, rows${j}.tx, group % u.groups);
      let inside${j} = from${j} != OUTSIDE;
      let x${j} = select(vec4f(), load_source(select(0u, from${j}, inside${j}), rows${j}.r), inside${j});`,
)}
${lines(channels / 4, (i) => `${cotangents.load(i)}\n      let d${i} = ${cotangents.value(i, 0)};`)}
${addProducts(tiles)}
    }
  }`;
}

/** Vectors beside each other belong to neighbouring channels or rows: threads read them from different banks. */
function workgroupMemory(tiles: Tiles): string {
  const { pixelsAtOnce, channelVectors, rowVectors } = memoryOf(tiles);
  return `var<workgroup> cotangent_tile: array<vec4f, ${pixelsAtOnce * channelVectors}>;
var<workgroup> source_tile: array<vec4f, ${pixelsAtOnce * rowVectors}>;`;
}

function memoryOf({ channels, pixels, down, across, depth }: Tiles) {
  return {
    pixelsAtOnce: 4 * depth,
    channelVectors: (down * channels) / 4,
    rowVectors: (across * pixels) / 4,
    threads: down * across,
  };
}

/**
 * A thread fetches one vector of rows and one of channels of some of the pixels that are in memory together, so that neighbours read
 * vectors that follow each other.
 */
function sumFromWorkgroupMemory(tiles: Tiles): string {
  const { channels, pixels, across } = tiles;
  const { pixelsAtOnce, channelVectors, rowVectors, threads } = memoryOf(tiles);
  /** Pixels that are fetched at once. */
  const [rowSlots, channelSlots] = [threads / rowVectors, threads / channelVectors];
  return `  let rows = rows_of(first_pixel / 4u + thread % ${rowVectors}u);
  let channel = channels_of(first_channel + thread % ${channelVectors}u * 4u);
  let cotangent_from = cotangent_of(group);
  let first = split * u.split_depth;
  let last = min(first + u.split_depth, u.pixels);
  for (var block = first; block < last; block += ${pixelsAtOnce}u) {
${lines(
  pixelsAtOnce / rowSlots,
  (i) => `    let x_slot${i} = thread / ${rowVectors}u + ${i * rowSlots}u;
    let from${i} = source_at(window_of(block + x_slot${i}), rows.ty, rows.tx, group % u.groups);
    let inside${i} = (block + x_slot${i} < last) & (from${i} != OUTSIDE);
    source_tile[thread + ${i * threads}u] = select(vec4f(), load_source(select(0u, from${i}, inside${i}), rows.r), inside${i});`,
)}
${lines(
  pixelsAtOnce / channelSlots,
  (i) => `    let pixel${i} = block + thread / ${channelVectors}u + ${i * channelSlots}u;
    let at${i} = cotangent_from + min(pixel${i}, u.pixels - 1u) * u.cotangent_pixel;
    cotangent_tile[thread + ${i * threads}u] = select(vec4f(), load_cotangent(at${i}, channel), pixel${i} < last);`,
)}
    workgroupBarrier();
    // Four pixels in turn, so many times as a uniform says: a driver that knew it would unroll all, and compile for twice as long.
    for (var fours = 0u; fours < u.memory_depth; fours++) {
      for (var k = 4u * fours; k < 4u * fours + 4u; k++) {
        let channel_at = k * ${channelVectors}u + (c - first_channel) / 4u;
        let row_at = k * ${rowVectors}u + thread % ${across}u;
${lines(pixels / 4, (j) => `        let x${j} = source_tile[row_at + ${j * across}u];`)}
${lines(channels / 4, (i) => `        let d${i} = cotangent_tile[channel_at + ${i}u];`)}
${addProducts(tiles)}
      }
    }
    workgroupBarrier();
  }`;
}

import { addressing, type IterationSpace } from '../core/iteration.ts';
import { linearMain, WORKGROUP } from '../webgpu/program.ts';

/*
 * y[m, n] = sum over k of a[m, k] b[k, n] for each matrix of a batch, in tiles of 4 rows and 4 columns of y. The columns of
 * a tile lie `column_tiles` apart, so that neighbouring threads read neighbouring columns of b. Rows and columns beyond
 * the edge are computed from the last ones and not stored. Grid: linear over batch, row tiles, column tiles (the fastest).
 *
 * b may be in half precision.
 *
 * tile:  one thread for each tile.
 * split: one workgroup for each tile; each thread takes every 64th k, then one thread for each element of the tile adds up
 *        the 64 partial sums. For few rows that are long: a classifier's weight is read along k by many threads at once.
 */

export const OPERANDS = ['y', 'a', 'b'] as const;

/** Rows and columns of a tile. */
export const TILE = 4;

const EACH = [0, 1, 2, 3];

export function tileShader(batch: IterationSpace): string {
  const stores = EACH.flatMap((i) => EACH.map((j) => store(`m[${i}]`, `n[${j}]`, `sum${i}[${j}]`)));
  return linearMain('u.count', `${tileSums(batch, '0u', '1u')}\n${stores.join('\n')}`);
}

export function splitShader(batch: IterationSpace): string {
  return `var<workgroup> partial_sums: array<vec4f, ${WORKGROUP * TILE}>;

@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = group.y * groups.x + group.x;
  if (index >= u.count) { return; }
${tileSums(batch, 'lane', `${WORKGROUP}u`)}
${EACH.map((i) => `  partial_sums[${TILE}u * lane + ${i}u] = sum${i};`).join('\n')}
  workgroupBarrier();
  if (lane >= ${TILE * TILE}u) { return; }
  let i = lane / ${TILE}u;
  let j = lane % ${TILE}u;
  var sum = 0.0;
  for (var thread = 0u; thread < ${WORKGROUP}u; thread++) { sum += partial_sums[${TILE}u * thread + i][j]; }
${store('m[i]', 'n[j]', 'sum')}
}`;
}

/** Row i of tile `index` in `sum<i>`, over every `step`-th k from `first` on; its rows and columns in `m` and `n`. */
function tileSums(batch: IterationSpace, first: string, step: string): string {
  return `  let column_tile = index % u.column_tiles;
  let row_tile = index / u.column_tiles % u.row_tiles;
  let batch = index / (u.column_tiles * u.row_tiles);
${addressing(batch, OPERANDS, 'batch')}
  let m = ${TILE}u * row_tile + vec4u(0u, 1u, 2u, 3u);
  let n = column_tile + u.column_tiles * vec4u(0u, 1u, 2u, 3u);
  let a_from = a_at + min(m, vec4u(u.rows - 1u)) * u.a_row_stride;
  let b_from = b_at + min(n, vec4u(u.columns - 1u)) * u.b_column_stride;
${EACH.map((i) => `  var sum${i} = vec4f();`).join('\n')}
  for (var k = ${first}; k < u.depth; k += ${step}) {
    let a_k = a_from + k * u.a_column_stride;
    let b_k = b_from + k * u.b_row_stride;
    let b_row = vec4f(f32(b[b_k.x]), f32(b[b_k.y]), f32(b[b_k.z]), f32(b[b_k.w]));
${EACH.map((i) => `    sum${i} += a[a_k[${i}]] * b_row;`).join('\n')}
  }`;
}

function store(m: string, n: string, sum: string): string {
  return `  if (${m} < u.rows && ${n} < u.columns) { y[y_at + ${m} * u.y_row_stride + ${n} * u.y_column_stride] = ${sum}; }`;
}

import { linearMain } from '../webgpu/program.ts';

/** What a thread sums: so many vectors of four rows times as many of four output channels. */
export interface WeightGradientTile {
  readonly rows: number;
  readonly columns: number;
}

/**
 * dw[k, t, r, c] = sum over n, p of x[n, p*stride - padding + t*dilation, r] * cotangent[k, n, p, c].
 *
 * Tile: a thread sums outer products of vectors of x and of the cotangent in registers, for one tap and one split: some
 * lines of all images. Grid: one thread for each tile of splits x K x kh x kw x rows x out, out fastest, in workgroups of
 * 64. Rows and channels beyond a group's last are summed as the last, and not stored. Memory: x and the cotangent are
 * channels-last; dw is [K][kh][kw][rows][out], one for each split.
 *
 * @param vectors whether a group's rows and channels are multiples of 4, and all buffers made of vectors
 */
export function weightGradientWgsl({ rows, columns }: WeightGradientTile, vectors: boolean): string {
  const sums = Array.from({ length: rows * columns }, (_, i) => ({
    row: Math.floor(i / columns),
    column: i % columns,
  }));
  const each = (line: (sum: { row: number; column: number }, i: number) => string) => sums.map(line).join('\n');
  const load = (name: string, i: number, count: string) =>
    vectors
      ? `${name}[${name}_at + min(${name}_first + ${i}u, ${count} / 4u - 1u)]`
      : `load_${name}(${name}_at, ${name}_first + ${4 * i}u, ${count})`;
  const width = vectors ? 4 : 1;
  return `${vectors ? '' : ['x', 'cotangent'].map(loadScalars).join('')}
var<private> sums: array<mat4x4f, ${rows * columns}>;

${linearMain(
  'u.threads * u.splits',
  `  let column_tile = index % (u.groups * u.column_tiles);
  let row_tile = index / (u.groups * u.column_tiles) % u.row_tiles;
  let tap = index / (u.groups * u.column_tiles * u.row_tiles) % (u.kernel_h * u.kernel_w);
  let k = index % u.threads / (u.groups * u.column_tiles * u.row_tiles * u.kernel_h * u.kernel_w);
  let split = index / u.threads;
  let g = column_tile / u.column_tiles;
  let first_row = row_tile * ${4 * rows}u;
  let first_column = column_tile % u.column_tiles * ${4 * columns}u;
  let ty = i32(tap / u.kernel_w * u.dilation_h) - i32(u.padding_h);
  let tx = i32(tap % u.kernel_w * u.dilation_w) - i32(u.padding_w);
  let x_first = first_row / ${width}u;
  let cotangent_first = first_column / ${width}u;
${each((_, i) => `  var sum${i} = mat4x4f();`)}
  let lines = u.batch * u.target_h;
  for (var line = split * u.split_lines; line < min((split + 1u) * u.split_lines, lines); line++) {
    let n = line / u.target_h;
    let sy = i32(line % u.target_h * u.stride_h) + ty;
    if (sy < 0 || sy >= i32(u.source_h)) { continue; }
    for (var px = 0u; px < u.target_w; px++) {
      let sx = i32(px * u.stride_w) + tx;
      if (sx < 0 || sx >= i32(u.source_w)) { continue; }
      let source_pixel = (n * u.source_h + u32(sy)) * u.source_w + u32(sx);
      let target_pixel = (k * lines + line) * u.target_w + px;
      let x_at = (source_pixel * u.groups + g) * u.rows / ${width}u;
      let cotangent_at = (target_pixel * u.groups + g) * u.columns / ${width}u;
${Array.from({ length: rows }, (_, i) => `      let x${i} = ${load('x', i, 'u.rows')};`).join('\n')}
${Array.from({ length: columns }, (_, j) => `      let d${j} = ${load('cotangent', j, 'u.columns')};`).join('\n')}
${each(
  ({ row, column }, i) =>
    `      sum${i} += mat4x4f(${['x', 'y', 'z', 'w'].map((q) => `x${row}.${q} * d${column}`).join(', ')});`,
)}
    }
  }
${each((_, i) => `  sums[${i}] = sum${i};`)}
  // Their number is a uniform, see \`convolutionWgsl\`.
  for (var i = 0u; i < u.sums; i++) {
    let r = first_row + i / ${4 * columns}u * 4u + i % 4u;
    let c = first_column + i / 4u % ${columns}u * 4u;
    if (r < u.rows && c < u.columns) {
      let to = split * u.dw_split + (((k * u.kernel_h * u.kernel_w + tap) * u.rows + r) * u.groups + g) * u.columns + c;
      let sum = sums[i / 4u][i % 4u];
${
  vectors
    ? '      dw[to / 4u] = sum;'
    : '      for (var j = 0u; j < min(u.columns - c, 4u); j++) { dw[to + j] = sum[j]; }'
}
    }
  }`,
)}`;
}

/** Four numbers from number i on of those at an address. */
function loadScalars(name: string): string {
  return `
fn load_${name}(at: u32, first: u32, count: u32) -> vec4f {
  let i = at + min(first + vec4u(0u, 1u, 2u, 3u), vec4u(count - 1u));
  return vec4f(${name}[i.x], ${name}[i.y], ${name}[i.z], ${name}[i.w]);
}
`;
}

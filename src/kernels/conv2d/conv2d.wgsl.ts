import { linearMain } from '../webgpu/program.ts';

/** Result pixels that a thread of `gatherConvolutionWgsl` computes. */
export const PIXELS = 4;

export interface GatherVariant {
  /** Result channels of a thread: 4 with vector loads (a group's channels are a multiple of 4), or 1. */
  readonly columns: 1 | 4;
  readonly transposed: boolean;
  readonly bias: boolean;
  readonly residual: boolean;
}

/**
 * Convolution, or its gradient with respect to the input (`transposed`), as an implicit GEMM (see `GatherConvolution`):
 *
 *   y[p, g*columns + c] = act(bias[c] + residual[p, c] + sum over t, r of source[at(p, t), g*rows + r] * w[t, r, c])
 *
 * Tile: a thread sums 4 pixels x `columns` channels in registers; a weight that was loaded serves 4 pixels.
 * Grid: one thread for each block of channels (fastest, so that neighbours load neighbouring weights and share their
 * source values) and each 4 consecutive pixels of the batch, in workgroups of 64.
 * Memory: source and y are channels-last; w is [kh][kw][rows][columns], columns contiguous.
 */
export function gatherConvolutionWgsl({ columns, transposed, bias, residual }: GatherVariant): string {
  const vector = columns === 4 ? 'vec4f' : 'f32';
  const pixels = Array.from({ length: PIXELS }, (_, i) => i);
  const each = (line: (i: number) => string) => pixels.map(line).join('\n');
  return `
const OUTSIDE = 0xffffffffu;

// Where the window at p reads with tap t along an axis, or OUTSIDE.
fn source_position(p: u32, t: u32, stride: u32, padding: u32, dilation: u32, size: u32) -> u32 {
${
  transposed
    ? `  let scaled = i32(p + padding) - i32(t * dilation);
  let position = u32(max(scaled, 0)) / stride;
  // Not the short-circuit operator, whose branches SwiftShader takes 15 s to compile.
  return select(OUTSIDE, position, (scaled >= 0) & (position * stride == u32(scaled)) & (position < size));`
    : `  let position = i32(p * stride + t * dilation) - i32(padding);
  return select(OUTSIDE, u32(position), (position >= 0) & (u32(position) < size));`
}
}

// The address of the first channel of the group that pixel p reads with tap (ty, tx), or OUTSIDE.
fn source_address(p: u32, ty: u32, tx: u32) -> u32 {
  let area = u.target_h * u.target_w;
  let n = p / area;
  let within = p % area;
  let sy = source_position(within / u.target_w, ty, u.stride_h, u.padding_h, u.dilation_h, u.source_h);
  let sx = source_position(within % u.target_w, tx, u.stride_w, u.padding_w, u.dilation_w, u.source_w);
  let address = ((n * u.source_h + sy) * u.source_w + sx) * u.groups * u.rows;
  return select(address, OUTSIDE, (sy == OUTSIDE) | (sx == OUTSIDE) | (p >= u.pixels));
}

${linearMain(
  'u.threads',
  `  let blocks = u.groups * u.columns / ${columns}u;
  let channel = (index % blocks) * ${columns}u;
  let p = (index / blocks) * ${PIXELS}u;
  let g = channel / u.columns;
  let first_column = g * (u.row_offset * u.row_stride + u.column_offset) + channel % u.columns;
${each((i) => `  var sum${i} = ${vector}(0);`)}
  for (var ty = 0u; ty < u.kernel_h; ty++) {
    for (var tx = 0u; tx < u.kernel_w; tx++) {
      let w_at = (ty * u.kernel_w + tx) * u.tap_stride + first_column;
${each(
  (i) => `      let from${i} = source_address(p + ${i}u, ty, tx);
      let inside${i} = from${i} != OUTSIDE;
      let at${i} = select(0u, from${i} + g * u.rows, inside${i});`,
)}
      for (var r = 0u; r < u.rows; r++) {
        let weight = w[(w_at + r * u.row_stride) / ${columns}u];
${each((i) => `        sum${i} += select(0.0, source[at${i} + r], inside${i}) * weight;`)}
      }
    }
  }
  let stride = u.groups * u.columns;
${bias ? `  let offset = bias[channel / ${columns}u];` : `  let offset = ${vector}(0);`}
${each(
  (i) => `  if (p + ${i}u < u.pixels) {
    let to = ((p + ${i}u) * stride + channel) / ${columns}u;
    let value = sum${i} + offset${residual ? ' + residual[to]' : ''};
    // Not max(): a NaN has to come through.
    y[to] = select(value, ${vector}(0), (value < ${vector}(0)) & ${columns === 4 ? 'vec4<bool>' : 'bool'}(u.relu == 1u));
  }`,
)}`,
)}`;
}

/**
 * dw[k, t, r, c] = sum over n, p of x[n, p*stride - padding + t*dilation, r] * cotangent[k, n, p, c].
 *
 * Tile: one element of the gradient for each thread. Grid: one thread for each of K x kh x kw x rows x out, out fastest,
 * in workgroups of 64. Memory: x and the cotangent are channels-last; dw is [K][kh][kw][rows][out].
 */
export const weightGradientWgsl = linearMain(
  'u.threads',
  `  let c = index % u.channels;
  let r = (index / u.channels) % u.rows;
  let tap = (index / (u.channels * u.rows)) % (u.kernel_h * u.kernel_w);
  let k = index / (u.channels * u.rows * u.kernel_h * u.kernel_w);
  let ty = i32((tap / u.kernel_w) * u.dilation_h) - i32(u.padding_h);
  let tx = i32((tap % u.kernel_w) * u.dilation_w) - i32(u.padding_w);
  let source_channel = (c / (u.channels / u.groups)) * u.rows + r;
  var sum = 0.0;
  for (var n = 0u; n < u.batch; n++) {
    for (var py = 0u; py < u.target_h; py++) {
      let sy = i32(py * u.stride_h) + ty;
      if (sy < 0 || sy >= i32(u.source_h)) { continue; }
      for (var px = 0u; px < u.target_w; px++) {
        let sx = i32(px * u.stride_w) + tx;
        if (sx < 0 || sx >= i32(u.source_w)) { continue; }
        let read_at = ((n * u.source_h + u32(sy)) * u.source_w + u32(sx)) * u.groups * u.rows + source_channel;
        let above = (((k * u.batch + n) * u.target_h + py) * u.target_w + px) * u.channels + c;
        sum += x[read_at] * cotangent[above];
      }
    }
  }
  dw[index] = sum;`,
);

import { linearMain } from '../webgpu/program.ts';

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

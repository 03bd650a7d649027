import type { HostData } from '../../tensor/memory.ts';
import type { Pair } from '../core/pair.ts';
import type { ConvGeometry, GatherConvolution } from './geometry.ts';

/** What is done to a sum before it is stored: y = activation(sum + bias[channel] + residual). */
export interface Epilogue {
  readonly bias?: HostData | undefined;
  readonly residual?: HostData | undefined;
  readonly relu: boolean;
}

/** The position in the source that tap `t` of the window at `p` reads along one axis, or -1 outside of it. */
export function sourcePosition(conv: GatherConvolution, axis: 0 | 1, p: number, t: number): number {
  const { stride, padding, dilation, source } = conv;
  const unscaled = conv.transposed
    ? p + padding[axis] - t * dilation[axis]
    : p * stride[axis] - padding[axis] + t * dilation[axis];
  if (conv.transposed && unscaled % stride[axis] !== 0) return -1;
  const position = conv.transposed ? unscaled / stride[axis] : unscaled;
  return position >= 0 && position < source[axis] ? position : -1;
}

/** See `GatherConvolution`; source and result are channels-last. Sums are double precision. */
export function gatherConvolution(
  conv: GatherConvolution,
  source: HostData,
  weight: HostData,
  y: HostData,
  epilogue: Epilogue,
): void {
  const { batch, groups, rows, columns, kernel, target } = conv;
  const sums = new Float64Array(columns);
  const sourceChannels = groups * rows;
  const channels = groups * columns;
  let pixel = 0;
  for (let n = 0; n < batch; n++) {
    for (let py = 0; py < target[0]; py++) {
      for (let px = 0; px < target[1]; px++, pixel++) {
        for (let g = 0; g < groups; g++) {
          sums.fill(0);
          for (let ty = 0; ty < kernel[0]; ty++) {
            const sy = sourcePosition(conv, 0, py, ty);
            if (sy < 0) continue;
            for (let tx = 0; tx < kernel[1]; tx++) {
              const sx = sourcePosition(conv, 1, px, tx);
              if (sx < 0) continue;
              const from = ((n * conv.source[0] + sy) * conv.source[1] + sx) * sourceChannels + g * rows;
              const tap =
                (ty * kernel[1] + tx) * conv.tapStride + g * (conv.rowOffset * conv.rowStride + conv.columnOffset);
              addRows(sums, source, from, weight, tap, rows, conv.rowStride);
            }
          }
          store(sums, y, pixel * channels + g * columns, g * columns, epilogue);
        }
      }
    }
  }
}

/** sums[c] += sum over r of source[from + r] * weight[tap + r * rowStride + c] */
function addRows(
  sums: Float64Array,
  source: HostData,
  from: number,
  weight: HostData,
  tap: number,
  rows: number,
  rowStride: number,
): void {
  const columns = sums.length;
  let r = 0;
  // Four rows at a time: each sum is loaded and stored once for four products.
  for (; r + 4 <= rows; r += 4) {
    const [a, b, c, d] = [
      source[from + r] ?? 0,
      source[from + r + 1] ?? 0,
      source[from + r + 2] ?? 0,
      source[from + r + 3] ?? 0,
    ];
    const w0 = tap + r * rowStride;
    const w1 = w0 + rowStride;
    const w2 = w1 + rowStride;
    const w3 = w2 + rowStride;
    for (let i = 0; i < columns; i++) {
      sums[i] =
        (sums[i] ?? 0) +
        a * (weight[w0 + i] ?? 0) +
        b * (weight[w1 + i] ?? 0) +
        c * (weight[w2 + i] ?? 0) +
        d * (weight[w3 + i] ?? 0);
    }
  }
  for (; r < rows; r++) {
    const a = source[from + r] ?? 0;
    const w0 = tap + r * rowStride;
    for (let i = 0; i < columns; i++) sums[i] = (sums[i] ?? 0) + a * (weight[w0 + i] ?? 0);
  }
}

function store(sums: Float64Array, y: HostData, to: number, channel: number, { bias, residual, relu }: Epilogue): void {
  for (let c = 0; c < sums.length; c++) {
    const value = (sums[c] ?? 0) + (bias?.[channel + c] ?? 0) + (residual?.[to + c] ?? 0);
    y[to + c] = relu ? Math.max(value, 0) : value;
  }
}

/**
 * dw[k, ty, tx, r, c] = sum over n, p of x[n, p*stride - padding + t*dilation, r] * cotangent[k, n, p, c], for each group;
 * dw lies in memory as [K][kh][kw][in/groups][out], x and the cotangent are channels-last.
 */
export function weightGradient(
  shape: {
    readonly k: number;
    readonly batch: number;
    readonly size: Pair;
    readonly target: Pair;
    readonly kernel: Pair;
    readonly rows: number;
    readonly out: number;
  },
  { stride, padding, dilation, groups }: ConvGeometry,
  x: HostData,
  cotangent: HostData,
  dw: HostData,
): void {
  const { k, batch, size, target, kernel, rows, out } = shape;
  const columns = out / groups;
  const row = new Float64Array(out);
  for (let score = 0; score < k; score++) {
    for (let ty = 0; ty < kernel[0]; ty++) {
      for (let tx = 0; tx < kernel[1]; tx++) {
        for (let r = 0; r < rows; r++) {
          row.fill(0);
          for (let n = 0; n < batch; n++) {
            for (let py = 0; py < target[0]; py++) {
              const sy = py * stride[0] - padding[0] + ty * dilation[0];
              if (sy < 0 || sy >= size[0]) continue;
              for (let px = 0; px < target[1]; px++) {
                const sx = px * stride[1] - padding[1] + tx * dilation[1];
                if (sx < 0 || sx >= size[1]) continue;
                const from = ((n * size[0] + sy) * size[1] + sx) * groups * rows + r;
                const above = (((score * batch + n) * target[0] + py) * target[1] + px) * out;
                for (let g = 0; g < groups; g++) {
                  const value = x[from + g * rows] ?? 0;
                  for (let c = g * columns; c < (g + 1) * columns; c++)
                    row[c] = (row[c] ?? 0) + value * (cotangent[above + c] ?? 0);
                }
              }
            }
          }
          dw.set(row, (((score * kernel[0] + ty) * kernel[1] + tx) * rows + r) * out);
        }
      }
    }
  }
}

import type { HostData } from '../../tensor/memory.ts';
import type { ConvGeometry, GatherConvolution, WeightGradientShape } from './geometry.ts';

/** What is done to a sum before it is stored: y = activation(sum + bias[channel] + residual). */
export interface Epilogue {
  readonly bias?: HostData | undefined;
  readonly residual?: HostData | undefined;
  readonly relu: boolean;
}

/** The position in the source that tap `t` of the window at `p` reads along one axis, or -1 outside of it. */
function sourcePosition(conv: GatherConvolution, axis: 0 | 1, p: number, t: number): number {
  const { stride, padding, dilation, source } = conv;
  const unscaled = conv.transposed
    ? p + padding[axis] - t * dilation[axis]
    : p * stride[axis] - padding[axis] + t * dilation[axis];
  if (conv.transposed && unscaled % stride[axis] !== 0) return -1;
  const position = conv.transposed ? unscaled / stride[axis] : unscaled;
  return position >= 0 && position < source[axis] ? position : -1;
}

/** Pixels whose sums are kept at once; each weight that is loaded serves all of them. */
const PIXELS = 4;
/** Channels whose sums are kept at once. */
const COLUMNS = 4;

/**
 * See `GatherConvolution`; source and result are channels-last. The patches of four pixels are gathered side by side, so
 * that what is left is a matrix product, done in 4 x 4 tiles that stay in registers. Sums are double precision.
 */
export function gatherConvolution(
  conv: GatherConvolution,
  source: HostData,
  weight: HostData,
  y: HostData,
  epilogue: Epilogue,
): void {
  const { batch, groups, columns, kernel, rows, target } = conv;
  const pixels = batch * target[0] * target[1];
  const channels = groups * columns;
  const patch = new Float64Array(kernel[0] * kernel[1] * rows * PIXELS);
  const sums = new Float64Array(PIXELS * COLUMNS);
  for (let p = 0; p < pixels; p += PIXELS) {
    const count = Math.min(PIXELS, pixels - p);
    for (let g = 0; g < groups; g++) {
      for (let i = 0; i < count; i++) gatherPatch(conv, source, p + i, g, i, patch);
      for (let c = 0; c < columns; c += COLUMNS) {
        const width = Math.min(COLUMNS, columns - c);
        const multiply = width === COLUMNS ? multiplyTile : multiplyColumns;
        multiply(conv, patch, weight, g * (conv.rowOffset * conv.rowStride + conv.columnOffset) + c, width, sums);
        store(sums, count, width, y, p * channels + g * columns + c, channels, g * columns + c, epilogue);
      }
    }
  }
}

/** patch[(tap * rows + r) * PIXELS + slot] = what the pixel reads; 0 outside of the source. */
function gatherPatch(
  conv: GatherConvolution,
  source: HostData,
  pixel: number,
  g: number,
  slot: number,
  patch: Float64Array,
): void {
  const { kernel, rows, groups, target } = conv;
  const px = pixel % target[1];
  const py = Math.floor(pixel / target[1]) % target[0];
  const n = Math.floor(pixel / (target[0] * target[1]));
  let to = slot;
  for (let ty = 0; ty < kernel[0]; ty++) {
    const sy = sourcePosition(conv, 0, py, ty);
    for (let tx = 0; tx < kernel[1]; tx++) {
      const sx = sourcePosition(conv, 1, px, tx);
      const outside = sy < 0 || sx < 0;
      const from = ((n * conv.source[0] + sy) * conv.source[1] + sx) * groups * rows + g * rows;
      for (let r = 0; r < rows; r++, to += PIXELS) patch[to] = outside ? 0 : (source[from + r] ?? 0);
    }
  }
}

/** sums[c * PIXELS + i] = sum over taps t, rows r of patch[t, r, i] * w[t, r, c], for four columns. */
function multiplyTile(
  { kernel, rows, tapStride, rowStride }: GatherConvolution,
  patch: Float64Array,
  w: HostData,
  first: number,
  _width: number,
  sums: Float64Array,
): void {
  let [a0, a1, a2, a3, b0, b1, b2, b3] = [0, 0, 0, 0, 0, 0, 0, 0];
  let [c0, c1, c2, c3, d0, d1, d2, d3] = [0, 0, 0, 0, 0, 0, 0, 0];
  let k = 0;
  for (let tap = 0; tap < kernel[0] * kernel[1]; tap++) {
    let at = first + tap * tapStride;
    for (let r = 0; r < rows; r++, k += PIXELS, at += rowStride) {
      const x0 = patch[k] ?? 0;
      const x1 = patch[k + 1] ?? 0;
      const x2 = patch[k + 2] ?? 0;
      const x3 = patch[k + 3] ?? 0;
      const a = w[at] ?? 0;
      a0 += a * x0;
      a1 += a * x1;
      a2 += a * x2;
      a3 += a * x3;
      const b = w[at + 1] ?? 0;
      b0 += b * x0;
      b1 += b * x1;
      b2 += b * x2;
      b3 += b * x3;
      const c = w[at + 2] ?? 0;
      c0 += c * x0;
      c1 += c * x1;
      c2 += c * x2;
      c3 += c * x3;
      const d = w[at + 3] ?? 0;
      d0 += d * x0;
      d1 += d * x1;
      d2 += d * x2;
      d3 += d * x3;
    }
  }
  sums.set([a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3]);
}

/** The same for fewer columns, one after the other. */
function multiplyColumns(
  { kernel, rows, tapStride, rowStride }: GatherConvolution,
  patch: Float64Array,
  w: HostData,
  first: number,
  width: number,
  sums: Float64Array,
): void {
  for (let column = 0; column < width; column++) {
    let [x0, x1, x2, x3, k] = [0, 0, 0, 0, 0];
    for (let tap = 0; tap < kernel[0] * kernel[1]; tap++) {
      let at = first + column + tap * tapStride;
      for (let r = 0; r < rows; r++, k += PIXELS, at += rowStride) {
        const a = w[at] ?? 0;
        x0 += a * (patch[k] ?? 0);
        x1 += a * (patch[k + 1] ?? 0);
        x2 += a * (patch[k + 2] ?? 0);
        x3 += a * (patch[k + 3] ?? 0);
      }
    }
    sums.set([x0, x1, x2, x3], column * PIXELS);
  }
}

/** Stores a tile of sums: pixel i, channel c goes to y[to + i * channels + c]. */
function store(
  sums: Float64Array,
  pixels: number,
  columns: number,
  y: HostData,
  to: number,
  channels: number,
  channel: number,
  { bias, residual, relu }: Epilogue,
): void {
  for (let i = 0; i < pixels; i++) {
    for (let c = 0; c < columns; c++) {
      const index = to + i * channels + c;
      const value = (sums[c * PIXELS + i] ?? 0) + (bias?.[channel + c] ?? 0) + (residual?.[index] ?? 0);
      y[index] = relu ? Math.max(value, 0) : value;
    }
  }
}

/**
 * dw[k, ty, tx, r, c] = sum over n, p of x[n, p*stride - padding + t*dilation, r] * cotangent[k, n, p, c], for each group;
 * dw lies in memory as [K][kh][kw][in/groups][out], x and the cotangent are channels-last.
 */
export function weightGradient(
  shape: WeightGradientShape,
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

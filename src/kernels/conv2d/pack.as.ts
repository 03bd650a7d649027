/* Rearranges the operands of a convolution for `gemm`. All distances are in bytes. */

const COLUMNS: usize = 8;
/** Bytes of a row of a panel. */
const ROW: usize = 4 * COLUMNS;

/** panels[group][panel][o][i][r][8] = w[group, o, i, r, column], zeros where a panel has more columns than there are. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Panels {
  panels: usize;
  w: usize;
  group: usize;
  outer: usize;
  outerStep: usize;
  inner: usize;
  innerStep: usize;
  rows: usize;
  rowStep: usize;
  columns: usize;
  columnStep: usize;
}

/** Panels `begin` to `end`, counted through all groups. */
export function packPanels(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const packing = changetype<Panels>(job);
  const inGroup = (packing.columns + COLUMNS - 1) / COLUMNS;
  let to = packing.panels + begin * packing.outer * packing.inner * packing.rows * ROW;
  for (let panel = begin; panel < end; panel++) {
    const column = (panel % inGroup) * COLUMNS;
    const width = min(COLUMNS, packing.columns - column);
    const first = packing.w + (panel / inGroup) * packing.group + column * packing.columnStep;
    for (let o: usize = 0; o < packing.outer; o++) {
      for (let i: usize = 0; i < packing.inner; i++) {
        let from = first + o * packing.outerStep + i * packing.innerStep;
        for (let r: usize = 0; r < packing.rows; r++) {
          packRow(to, from, width, packing.columnStep);
          to += ROW;
          from += packing.rowStep;
        }
      }
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function packRow(to: usize, from: usize, width: usize, step: usize): void {
  if (width == COLUMNS && step == 4) {
    v128.store(to, v128.load(from));
    v128.store(to, v128.load(from, 16), 16);
  } else if (width == COLUMNS) {
    for (let c: usize = 0; c < COLUMNS; c++) store<f32>(to + 4 * c, load<f32>(from + c * step));
  } else {
    for (let c: usize = 0; c < COLUMNS; c++) store<f32>(to + 4 * c, c < width ? load<f32>(from + c * step) : 0);
  }
}

/** to[group, n, y, x] = from[n, y - top, x - left, group], and zeros around it. */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Padding {
  to: usize;
  from: usize;
  images: usize;
  fromHeight: usize;
  fromWidth: usize;
  toHeight: usize;
  toWidth: usize;
  top: usize;
  left: usize;
  /** Bytes of a pixel of one group, and of all. */
  pixel: usize;
  allGroups: usize;
}

/** Rows `begin` to `end` of the result. */
export function pad(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const padding = changetype<Padding>(job);
  const pixel = padding.pixel;
  const size = padding.toWidth * pixel;
  for (let row = begin; row < end; row++) {
    const to = padding.to + row * size;
    // Rows above the first count as far below the last.
    const y = (row % padding.toHeight) - padding.top;
    if (y >= padding.fromHeight) {
      memory.fill(to, 0, size);
      continue;
    }
    const image = row / padding.toHeight;
    const group = image / padding.images;
    const from =
      padding.from +
      ((image % padding.images) * padding.fromHeight + y) * padding.fromWidth * padding.allGroups +
      group * pixel;
    const inside = to + padding.left * pixel;
    const behind = inside + padding.fromWidth * pixel;
    memory.fill(to, 0, inside - to);
    memory.fill(behind, 0, to + size - behind);
    if (pixel == padding.allGroups) {
      memory.copy(inside, from, padding.fromWidth * pixel);
    } else {
      for (let x: usize = 0; x < padding.fromWidth; x++) {
        memory.copy(inside + x * pixel, from + x * padding.allGroups, pixel);
      }
    }
  }
}

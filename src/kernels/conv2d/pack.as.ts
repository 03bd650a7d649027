/* Rearranges the operands of a convolution for `gemm`. All distances are in bytes. */
import { COLUMNS, ROW } from '../matmul/gemm.as';

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
        copyPixel(inside + x * pixel, from + x * padding.allGroups, pixel);
      }
    }
  }
}

/** For so few bytes, `memory.copy` would take longer to be called than to copy. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function copyPixel(to: usize, from: usize, size: usize): void {
  const vectors = size - (size % 16);
  for (let i: usize = 0; i < vectors; i += 16) v128.store(to + i, v128.load(from + i));
  for (let i = vectors; i < size; i += 4) store<f32>(to + i, load<f32>(from + i));
}

/**
 * planes[channel][n][y][phase][x] = from[n, y - top, x*step + phase - left, channel] with zeros around the image: the
 * values that one tap meets along a row of the result follow each other.
 */
// @ts-ignore: a decorator of AssemblyScript
@unmanaged
class Planes {
  planes: usize;
  plane: usize;
  from: usize;
  fromImage: usize;
  fromRow: usize;
  fromColumn: usize;
  fromHeight: usize;
  fromWidth: usize;
  channels: usize;
  /** Rows of an image and columns of a phase in the planes. */
  height: usize;
  width: usize;
  top: usize;
  left: usize;
  step: usize;
  /** A unit is one row of so many channels; the units of a row follow each other. */
  unitChannels: usize;
}

export function toPlanes(job: usize, begin: usize, end: usize, _scratch: usize): void {
  const planes = changetype<Planes>(job);
  const parts = (planes.channels + planes.unitChannels - 1) / planes.unitChannels;
  const rowSize = planes.step * planes.width * 4;
  for (let unit = begin; unit < end; unit++) {
    const row = unit / parts;
    const first = (unit % parts) * planes.unitChannels;
    const last = min(first + planes.unitChannels, planes.channels);
    // Rows above the first count as far below the last.
    const y = (row % planes.height) - planes.top;
    const from = planes.from + (row / planes.height) * planes.fromImage + y * planes.fromRow;
    for (let c = first; c < last; c++) {
      const to = planes.planes + c * planes.plane + row * rowSize;
      if (y >= planes.fromHeight) memory.fill(to, 0, rowSize);
      else if (c + 4 <= last && c % 4 == 0) c += transposeFour(planes, from + 4 * c, to);
      else gatherOne(planes, from + 4 * c, to);
    }
  }
}

/** Where the values that go to column x of a phase come from; 0 outside. */
// @ts-ignore: a decorator of AssemblyScript
@inline
function columnOf(planes: Planes, phase: usize, x: usize, from: usize): usize {
  // Columns left of the first count as far right of the last.
  const column = x * planes.step + phase - planes.left;
  return column < planes.fromWidth ? from + column * planes.fromColumn : 0;
}

function gatherOne(planes: Planes, from: usize, to: usize): void {
  for (let phase: usize = 0; phase < planes.step; phase++) {
    for (let x: usize = 0; x < planes.width; x++) {
      const at = columnOf(planes, phase, x, from);
      store<f32>(to, at ? load<f32>(at) : 0);
      to += 4;
    }
  }
}

// @ts-ignore: a decorator of AssemblyScript
@inline
function loadOrZero(at: usize): v128 {
  return at ? v128.load(at) : f32x4.splat(0);
}

/** The same for four channels, whose planes follow each other; returns how many more than one they are. */
function transposeFour(planes: Planes, from: usize, to: usize): usize {
  const plane = planes.plane;
  const whole = planes.width - (planes.width % 4);
  for (let phase: usize = 0; phase < planes.step; phase++) {
    for (let x: usize = 0; x < whole; x += 4) {
      const a = loadOrZero(columnOf(planes, phase, x, from));
      const b = loadOrZero(columnOf(planes, phase, x + 1, from));
      const c = loadOrZero(columnOf(planes, phase, x + 2, from));
      const d = loadOrZero(columnOf(planes, phase, x + 3, from));
      const abLow = v128.shuffle<f32>(a, b, 0, 4, 1, 5);
      const abHigh = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
      const cdLow = v128.shuffle<f32>(c, d, 0, 4, 1, 5);
      const cdHigh = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(abLow, cdLow, 0, 1, 4, 5));
      v128.store(to + plane, v128.shuffle<f32>(abLow, cdLow, 2, 3, 6, 7));
      v128.store(to + 2 * plane, v128.shuffle<f32>(abHigh, cdHigh, 0, 1, 4, 5));
      v128.store(to + 3 * plane, v128.shuffle<f32>(abHigh, cdHigh, 2, 3, 6, 7));
      to += 16;
    }
    for (let x = whole; x < planes.width; x++) {
      const at = columnOf(planes, phase, x, from);
      for (let i: usize = 0; i < 4; i++) store<f32>(to + i * plane, at ? load<f32>(at + 4 * i) : 0);
      to += 4;
    }
  }
  return 3;
}

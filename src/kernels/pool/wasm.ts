import { type Engine, FLOAT, type WasmOperand, type Workspace } from '../cpu/wasm/call.ts';
import type { KernelName } from '../cpu/wasm/kernels.ts';
import { imageDims, type Window, type Windows } from './windows.ts';

/** The kernels of pool.as.ts do four channels at a time. */
const VECTOR = 4;

/** False for images of too few channels. */
export function poolWasm(
  kernel: 'maxPool' | 'averagePool',
  x: WasmOperand,
  y: WasmOperand,
  windows: Windows,
  engine: Engine,
): boolean {
  return runPooling(kernel, x, y.address, windows, engine);
}

function runPooling(kernel: KernelName, x: WasmOperand, y: number, windows: Windows, { run, workspace }: Engine) {
  const {
    images,
    channels,
    size: [height, width],
  } = imageDims(x);
  if (channels < VECTOR) return false;
  const [rows, columns] = [writeWindows(windows.rows, workspace), writeWindows(windows.columns, workspace)];
  const [outHeight, outWidth] = [windows.rows.length, windows.columns.length];
  const job = { x: x.address, y, rows, columns, outHeight, outWidth, height, width, channels };
  run(kernel, job, images * outHeight);
  return true;
}

function writeWindows(windows: readonly Window[], workspace: Workspace): number {
  return workspace.write(Int32Array.from(windows.flatMap(({ start, end, step, count }) => [start, end, step, count])));
}

export function maxPoolGradientWasm(
  dy: WasmOperand,
  x: WasmOperand,
  dx: WasmOperand,
  windows: Windows,
  engine: Engine,
): boolean {
  const { images, channels } = imageDims(x);
  const winners = engine.workspace.allocate(FLOAT * images * channels * windows.rows.length * windows.columns.length);
  return (
    runPooling('maxPoolWinners', x, winners, windows, engine) &&
    runGradient('maxPoolGradient', dy, dx, windows, engine, { winners, images })
  );
}

export function averagePoolGradientWasm(dy: WasmOperand, dx: WasmOperand, windows: Windows, engine: Engine): boolean {
  return runGradient('averagePoolGradient', dy, dx, windows, engine, { winners: 0, images: 1 });
}

function runGradient(
  kernel: KernelName,
  dy: WasmOperand,
  dx: WasmOperand,
  windows: Windows,
  { run, workspace }: Engine,
  maxima: { readonly winners: number; readonly images: number },
): boolean {
  const {
    images,
    channels,
    size: [height, width],
  } = imageDims(dx);
  if (channels < VECTOR) return false;
  const rows = writeCovers(windows.rows, height, workspace);
  const columns = writeCovers(windows.columns, width, workspace);
  const [outHeight, outWidth] = [windows.rows.length, windows.columns.length];
  const job = { dy: dy.address, dx: dx.address, rows, columns, outHeight, outWidth, height, width, channels };
  run(kernel, { ...job, ...maxima }, images * height);
  return true;
}

/** For each position of an axis, which windows it is in: the addresses of lists of `Cover` of pool.as.ts. */
function writeCovers(windows: readonly Window[], size: number, workspace: Workspace): number {
  const covers: number[][] = Array.from({ length: size }, () => []);
  for (const [i, { start, end, step, count }] of windows.entries()) {
    for (let position = start; position < end; position += step) covers[position]?.push(i, count);
  }
  let next = workspace.write(Int32Array.from(covers.flat()));
  const addresses = [next];
  for (const { length } of covers) {
    next += 4 * length;
    addresses.push(next);
  }
  return workspace.write(Int32Array.from(addresses));
}

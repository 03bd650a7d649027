import { at } from '../../tensor/shape.ts';
import { nestOf, PART, SMALL } from '../core/nest.ts';
import { type Engine, FLOAT, type WasmOperand } from '../cpu/wasm/call.ts';
import type { KernelName } from '../cpu/wasm/kernels.ts';
import { keptSpace, reducedSpace, runsOf } from './loops.ts';

/** Results of a unit: a cache line at least, and no more than have their sums in a first-level cache. */
const FEWEST = 16;
const MOST = 1024;

/** See reduce.as.ts. False for so few elements that TypeScript is faster. */
export function reduceWasm(
  kernel: Extract<KernelName, 'reduceSum' | 'reduceMax'>,
  x: WasmOperand,
  y: WasmOperand,
  options: { readonly axes: readonly number[]; readonly mean: boolean },
  { run, workspace }: Engine,
): boolean {
  const kept = keptSpace([y], x, options.axes);
  const reduced = reducedSpace(x, options.axes);
  if (kept.count * reduced.count < SMALL) return false;
  const { starts, length, stride } = runsOf(reduced);
  const part = Math.min(MOST, Math.max(FEWEST, Math.ceil(PART / reduced.count)));
  const { nest, units } = nestOf(kept, [y, x], workspace, part);
  const runs = workspace.write(starts.map((start) => FLOAT * start));
  const job = {
    ...nest,
    runs,
    lastRun: runs + starts.byteLength,
    runLength: length,
    runStep: FLOAT * stride,
    divisor: options.mean ? reduced.count : 1,
  };
  run(kernel, job, units);
  return true;
}

/** Runs a kernel that does one line of x along an axis after the other; a `Nest` visits where they begin. */
export function linesWasm(
  kernel: Extract<KernelName, 'argmax' | 'softmax'>,
  x: WasmOperand,
  y: WasmOperand,
  options: { readonly axis: number; readonly more?: Readonly<Record<string, number>> },
  { run, workspace }: Engine,
): boolean {
  const { axis, more } = options;
  const length = at(x.shape, axis);
  const kept = keptSpace([y], x, [axis]);
  if (kept.count * length < SMALL) return false;
  const { nest, units } = nestOf(kept, [y, x], workspace, Math.ceil(PART / length));
  const spacing = { lineLength: length, spaceX: FLOAT * at(x.strides, axis) };
  run(kernel, { ...nest, ...spacing, ...more }, units);
  return true;
}

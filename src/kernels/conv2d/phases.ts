import type { GatherShape } from './geometry.ts';

/**
 * Target positions along one axis whose windows have the same taps, at the same distance from where they start.
 * Target positions are first, first + step, ...; their windows start at 0, stride, 2 stride, ...
 */
export interface Phase {
  readonly first: number;
  readonly step: number;
  readonly count: number;
  readonly stride: number;
  readonly taps: Taps;
}

/** Taps tap, tap + tapStep, ..., which read at offset, offset + offsetStep, ... from where the window starts. */
export interface Taps {
  readonly count: number;
  readonly tap: number;
  readonly tapStep: number;
  readonly offset: number;
  /** 1 or more. */
  readonly offsetStep: number;
}

/**
 * A convolution's positions have one phase: each window starts `stride` behind the one before. In the input gradient,
 * (p + padding - t*dilation) / stride is whole for a part of the taps, and for the same ones every `stride` positions.
 */
export function phases(conv: GatherShape, axis: 0 | 1): Phase[] {
  const [target, size, stride, padding, dilation] = [
    conv.target[axis],
    conv.kernel[axis],
    conv.stride[axis],
    conv.padding[axis],
    conv.dilation[axis],
  ];
  if (!conv.transposed) {
    const taps = { count: size, tap: 0, tapStep: 1, offset: -padding, offsetStep: dilation };
    return [{ first: 0, step: 1, count: target, stride, taps }];
  }
  return Array.from({ length: Math.min(stride, target) }, (_, first) => ({
    first,
    step: stride,
    count: Math.ceil((target - first) / stride),
    stride: 1,
    taps: transposedTaps(first + padding, size, stride, dilation),
  }));
}

/** The taps t for which (position - t*dilation) / stride is whole, from the last one, which reads at the lowest offset. */
function transposedTaps(position: number, size: number, stride: number, dilation: number): Taps {
  const fitting = Array.from({ length: size }, (_, i) => size - 1 - i).filter(
    (tap) => (position - tap * dilation) % stride === 0,
  );
  const [tap, next] = fitting;
  if (tap === undefined) return { count: 0, tap: 0, tapStep: 1, offset: 0, offsetStep: 1 };
  const offset = (position - tap * dilation) / stride;
  if (next === undefined) return { count: 1, tap, tapStep: 1, offset, offsetStep: 1 };
  return { count: fitting.length, tap, tapStep: next - tap, offset, offsetStep: ((tap - next) * dilation) / stride };
}

/** How far windows reach beyond an axis of this size, before it and behind it. */
export function reach(axis: readonly Phase[], size: number): [number, number] {
  let [before, behind] = [0, 0];
  for (const { count, stride, taps } of axis) {
    if (taps.count === 0) continue;
    before = Math.max(before, -taps.offset);
    const last = taps.offset + (taps.count - 1) * taps.offsetStep;
    behind = Math.max(behind, last + (count - 1) * stride - (size - 1));
  }
  return [before, behind];
}

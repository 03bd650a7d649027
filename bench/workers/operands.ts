import { uniform } from '../../src/random.ts';
import type { Convolution } from '../convolutions.ts';

export interface Operand {
  /** Row-major, from [-0.5, 0.5). */
  readonly values: Float32Array;
  readonly shape: readonly number[];
}

/** Image [1,C,H,W], weight [out,C,kernel,kernel] and bias [out], the same for all runtimes. */
export function randomOperands({ channels, out, kernel, size }: Convolution): Record<'x' | 'weight' | 'bias', Operand> {
  const random = uniform(1);
  const operand = (...shape: number[]) => {
    const length = shape.reduce((product, extent) => product * extent, 1);
    return { values: Float32Array.from({ length }, () => random() - 0.5), shape };
  };
  return { x: operand(1, channels, size, size), weight: operand(out, channels, kernel, kernel), bias: operand(out) };
}

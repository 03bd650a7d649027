import { expect } from 'vitest';
import { ops } from '../../src/kernels/ops.ts';
import { TILINGS } from '../../src/kernels/webgpu/tiles.ts';
import { expectClose } from './numbers.ts';
import type { Results } from './smoke-kernels.ts';

/** Relative L2; drivers may reassociate. */
export const TOLERANCE = 1e-4;

/** Every way in which convolutions and products can be asked for. */
export const CHOICES = [
  ...TILINGS.map((tiles) => ({ tiles })),
  { algorithm: 'winograd' } as const,
  { algorithm: 'patches', splits: 3 } as const,
];

export function expectResults(actual: Results, expected: Results): void {
  for (const [name, outputs] of Object.entries(actual)) {
    expect(outputs.length, name).toBe(expected[name]?.length);
    for (const [i, values] of outputs.entries()) {
      expectClose(values, expected[name]?.[i] ?? [], TOLERANCE, `${name}, result ${i}`);
    }
  }
}

/** @param subgroups whether the adapter has them */
export function expectVariants(variants: readonly (Results | string)[], expected: Results, subgroups: boolean): void {
  expect(variants.length).toBe(CHOICES.length);
  for (const [i, variant] of variants.entries()) {
    const impossible = CHOICES[i] && 'tiles' in CHOICES[i] && CHOICES[i].tiles === 'subgroup' && !subgroups;
    if (impossible) expect(variant).toContain('cannot run the tiles subgroup: it has no subgroups');
    else if (typeof variant === 'string') throw new Error(variant);
    else expectResults(variant, expected);
  }
}

/** The kernel of `copy` also runs on its own, to arrange the inputs of other ops. */
export const KERNELS = Object.values(ops).filter((op) => 'webgpu' in op).length + 1;

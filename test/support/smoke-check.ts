import { expect } from 'vitest';
import { ops } from '../../src/kernels/ops.ts';
import { TILINGS } from '../../src/kernels/webgpu/tiles.ts';
import { expectClose } from './numbers.ts';
import { CASES, type Choice, type Results } from './smoke-kernels.ts';

/** Relative L2; drivers may reassociate. */
export const TOLERANCE = 1e-4;

const PRODUCTS = /conv2d|matmul/;
/** Large tiles take long to compile; single channels and groups are read in the same way with small ones. */
const LARGE_TILES = /4 channels|matmul by tiles/;

/** Every way in which kernels can be asked for, and the cases that it changes. */
export const CHOICES: readonly Choice[] = [
  ...TILINGS.map((tiles) => ({ options: { tiles }, cases: /64/.test(tiles) ? LARGE_TILES : PRODUCTS })),
  { options: { algorithm: 'winograd' } as const, cases: /3x3/ },
  { options: { algorithm: 'patches', splits: 3 } as const, cases: /4 channels|single channels|matmul/ },
  { options: { storage: 'f16' } as const, cases: /constant/ },
  // A compiler that knows the shape unrolls loops, and takes ten times as long.
  { options: { shapes: 'one' } as const, cases: /single channels|depth|softmax|maxPool2d|resize/ },
].map(({ options, cases }) => ({ options, cases: CASES.filter((name) => cases.test(name)) }));

export function expectResults(actual: Results, expected: Results): void {
  for (const [name, outputs] of Object.entries(actual)) {
    expect(outputs.length, name).toBe(expected[name]?.length);
    for (const [i, values] of outputs.entries()) {
      expectClose(values, expected[name]?.[i] ?? [], TOLERANCE, `${name}, result ${i}`);
    }
  }
}

type Feature = 'subgroups' | 'shader-f16';

/** What an adapter says that lacks a feature. */
const REFUSALS: readonly { choice: string; feature: Feature; message: string }[] = [
  { choice: 'subgroup', feature: 'subgroups', message: 'cannot run the tiles subgroup: it has no subgroups' },
  { choice: 'f16', feature: 'shader-f16', message: 'cannot keep weights in f16: it has no shader-f16' },
];

/** @param lacking the features of shaders that the adapter does not have */
export function expectVariants(
  variants: readonly (Results | string)[],
  expected: Results,
  lacking: readonly Feature[],
): void {
  expect(variants.length).toBe(CHOICES.length);
  for (const [i, { options, cases }] of CHOICES.entries()) {
    const variant = variants[i] ?? 'nothing';
    const refusal = REFUSALS.find(({ choice }) => choice === options.tiles || choice === options.storage);
    if (refusal && lacking.includes(refusal.feature)) expect(variant).toContain(refusal.message);
    else if (typeof variant === 'string') throw new Error(variant);
    else {
      expect(Object.keys(variant), JSON.stringify(options)).toEqual(cases);
      expectResults(variant, expected);
    }
  }
}

/** The kernel of `copy` also runs on its own, to arrange the inputs of other ops. */
export const KERNELS = Object.values(ops).filter((op) => 'webgpu' in op).length + 1;

import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type PointwiseFunction,
  pointwiseFunctions,
  pointwiseNames,
} from '../../../src/kernels/pointwise/functions.ts';
import { pointwiseDefinition } from '../../../src/kernels/pointwise/index.ts';
import { denseLayout } from '../../../src/tensor/layout.ts';
import { at } from '../../../src/tensor/shape.ts';
import { anyCuts, anyLayout, describeKernelPairs, expectSame, filled, wave } from '../../support/kernel-pair.ts';

/** What goes through exp, log or erf, which WebAssembly computes in its own way; all else is the same bit for bit. */
const APPROXIMATE = ['exp', 'log', 'sigmoid', 'elu', 'eluDerivative', 'gelu', 'geluDerivative'];
/** Of the result or of 1, whichever is larger: one rounding to float32. */
const TOLERANCE = 2 ** -23;

const SPECIAL = [
  0,
  -0,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  1e-42,
  -1e-42,
  3e38,
  -3e38,
  1,
  -1,
];

/** Waves of several magnitudes with special values among them. */
const values = (phase: number) => (length: number) =>
  wave(length, phase).map((v, i) =>
    i % 7 === 3 ? at(SPECIAL, (i + phase) % SPECIAL.length) : v * 10 ** ((i % 5) - 3),
  );

const calls = fc
  .record({
    shape: fc.oneof(
      fc.tuple(...[3, 5, 6, 9].map((max) => fc.integer({ min: 2, max }))),
      fc.tuple(fc.integer({ min: 30, max: 300 }), fc.integer({ min: 4, max: 70 })),
      fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 4000, max: 13000 })),
    ),
    stretched: fc.array(fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), { minLength: 3, maxLength: 3 }),
  })
  .chain(({ shape, stretched }) =>
    fc.record({
      layouts: fc.tuple(anyLayout(shape), ...stretched.slice(1).map((axes) => anyLayout(shape, axes))),
      cuts: anyCuts,
      parameter: fc.constantFrom(1, 0.25),
    }),
  );

describeKernelPairs('the pointwise kernels', (pair) => {
  it.each(pointwiseNames)('%s is what TypeScript computes', (fn) => {
    const { arity }: PointwiseFunction = pointwiseFunctions[fn];
    fc.assert(
      fc.property(calls, ({ layouts, cuts, parameter }) => {
        const inputs = layouts.slice(0, arity).map((layout, i) => filled(layout, values(i)));
        const results = pair.compute(pointwiseDefinition, inputs, { fn, parameter }, cuts);
        const [wasm, typescript] = [at(results.wasm, 0), at(results.typescript, 0)];
        if (!APPROXIMATE.includes(fn)) expectSame(wasm, typescript);
        else expect(furthest(wasm, typescript)).toBeLessThanOrEqual(TOLERANCE);
      }),
      { numRuns: 30 },
    );
  });

  it.each(APPROXIMATE)('%s is right over the whole range', (name) => {
    const fn = at(
      pointwiseNames.filter((other) => other === name),
      0,
    );
    const x = Float32Array.from({ length: 40001 }, (_, i) => (i - 20000) / 150);
    const inputs = [{ ...denseLayout([x.length]), data: x }];
    const { wasm, typescript } = pair.compute(pointwiseDefinition, inputs, { fn });
    expect(furthest(at(wasm, 0), at(typescript, 0))).toBeLessThanOrEqual(TOLERANCE);
  });
});

/** The largest difference, relative to the larger of the value and 1; Infinity where only one is a NaN or infinite. */
function furthest(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, e] = [at(actual, i), at(expected, i)];
    if (Object.is(a, e)) continue;
    const difference = Math.abs(a - e) / Math.max(1, Math.abs(e));
    most = Math.max(most, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
  }
  return most;
}

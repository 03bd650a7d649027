import fc from 'fast-check';
import { it } from 'vitest';
import { argmaxDefinition } from '../../../src/kernels/argmax/index.ts';
import { reduceDefinition } from '../../../src/kernels/reduce/index.ts';
import { softmaxDefinition } from '../../../src/kernels/softmax/index.ts';
import { at } from '../../../src/tensor/shape.ts';
import { anyCuts, anyLayout, describeKernelPairs, expectSame, filled, wave } from '../../support/kernel-pair.ts';
import { expectClose } from '../../support/numbers.ts';

/** Relative L2: both kernels sum in double precision and round once, in different orders. */
const ROUNDING = 1e-7;

const anyShape = fc.oneof(
  fc.tuple(...[4, 9, 9, 40].map((max) => fc.integer({ min: 1, max }))),
  fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 3000 })),
);

const reductions = anyShape.chain((shape) =>
  fc.record({
    layout: fc.array(fc.boolean(), { maxLength: 1 }).chain((axes) => anyLayout(shape, axes)),
    axes: fc.subarray([...shape.keys()]),
    axis: fc.nat(shape.length - 1),
    flag: fc.boolean(),
    special: fc.boolean(),
    cuts: anyCuts,
  }),
);

const SPECIAL = [Number.NaN, Number.NEGATIVE_INFINITY, 0, -0, Number.POSITIVE_INFINITY];
/** Few different values with ties, and now and then one that compares in a special way. */
const tied = (length: number) =>
  Float32Array.from({ length }, (_, i) => ((i * 7919) % 101 === 3 ? at(SPECIAL, i % 5) : ((i * i) % 4) - 3));
const values = (special: boolean) => (special ? tied : wave);

describeKernelPairs('the reducing kernels', (pair) => {
  it.each(['sum', 'mean'] as const)('%s over any axes', (fn) => {
    fc.assert(
      fc.property(reductions, ({ layout, axes, flag: keepDims, cuts }) => {
        const { wasm, typescript } = pair.compute(
          reduceDefinition,
          [filled(layout, wave)],
          { fn, axes, keepDims },
          cuts,
        );
        expectClose(at(wasm, 0), at(typescript, 0), ROUNDING);
      }),
      { numRuns: 100 },
    );
  });

  it('find maxima over any axes', () => {
    fc.assert(
      fc.property(reductions, ({ layout, axes, flag: keepDims, special, cuts }) => {
        const x = filled(layout, values(special));
        const { wasm, typescript } = pair.compute(reduceDefinition, [x], { fn: 'max', axes, keepDims }, cuts);
        expectSame(at(wasm, 0), at(typescript, 0));
      }),
      { numRuns: 100 },
    );
  });

  it('find where the maximum is', () => {
    fc.assert(
      fc.property(reductions, ({ layout, axis, flag: keepDims, special, cuts }) => {
        const x = filled(layout, values(special));
        const { wasm, typescript } = pair.compute(argmaxDefinition, [x], { axis, keepDims }, cuts);
        expectSame(at(wasm, 0), at(typescript, 0));
      }),
      { numRuns: 100 },
    );
  });

  it.each([false, true])('compute the softmax (its logarithm: %s)', (log) => {
    fc.assert(
      fc.property(reductions, fc.constantFrom(1, 30, 300), ({ layout, axis, cuts }, scale) => {
        const x = filled(layout, (length) => wave(length).map((v) => scale * v));
        const { wasm, typescript } = pair.compute(softmaxDefinition, [x], { axis, log }, cuts);
        expectClose(at(wasm, 0), at(typescript, 0), ROUNDING);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['a NaN', [1, Number.NaN]],
    ['infinity', [1, Number.POSITIVE_INFINITY]],
    ['minus infinity', [1, Number.NEGATIVE_INFINITY]],
    ['minus infinity only', [Number.NEGATIVE_INFINITY]],
  ])('compute the softmax of a line with %s as TypeScript does', (_, some) => {
    const data = Float32Array.from({ length: 129 }, (_, i) => at(some, i % some.length));
    const x = { shape: [129], strides: [1], offset: 0, data };
    for (const log of [false, true]) {
      const { wasm, typescript } = pair.compute(softmaxDefinition, [x], { axis: 0, log });
      expectSame(at(wasm, 0), at(typescript, 0));
    }
  });
});

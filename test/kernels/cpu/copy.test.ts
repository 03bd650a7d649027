import fc from 'fast-check';
import { it } from 'vitest';
import { type AssembleAttributes, assembleDefinition } from '../../../src/kernels/assemble/index.ts';
import { copyDefinition } from '../../../src/kernels/copy/index.ts';
import type { Layout } from '../../../src/tensor/layout.ts';
import { at } from '../../../src/tensor/shape.ts';
import { anyCuts, anyLayout, describeKernelPairs, expectSame, filled, wave } from '../../support/kernel-pair.ts';

const anyShape = fc.oneof(
  fc.tuple(...[3, 5, 6, 19].map((max) => fc.integer({ min: 1, max }))),
  fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1000, max: 9000 })),
);

const copies = anyShape.chain((shape) =>
  fc.record({
    layout: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }).chain((axes) => anyLayout(shape, axes)),
    order: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
    integers: fc.boolean(),
    cuts: anyCuts,
  }),
);

/** Parts one behind the other along an axis, the last one perhaps missing, with steps and a border. */
const assemblies = anyShape.chain((shape) =>
  fc
    .record({
      axis: fc.nat(shape.length - 1),
      lengths: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 3 }),
      border: fc.nat(1),
      step: fc.integer({ min: 1, max: 2 }),
      behind: fc.nat(1),
      cuts: anyCuts,
    })
    .chain(({ axis, lengths, border, step, behind, cuts }) => {
      const sizes = lengths.map((length) => shape.map((size, k) => (k === axis ? length : size)));
      let next = 0;
      const places = sizes.map((part) => {
        const starts = part.map((_, k) => (k === axis ? next : border));
        const ends = part.map((size, k) => at(starts, k) + size * (k === axis ? step : 1));
        next = at(ends, axis);
        return { starts, ends, steps: part.map((_, k) => (k === axis ? step : 1)) };
      });
      const whole = shape.map((size, k) => (k === axis ? next + behind : size + 2 * border));
      const attributes: AssembleAttributes = { shape: whole, value: -1.5, places };
      return fc.record({
        layouts: fc.tuple(...sizes.map((part) => anyLayout(part))),
        attributes: fc.constant(attributes),
        cuts: fc.constant(cuts),
      });
    }),
);

/** A wave, or numbers whose bits are no sensible floats. */
const fill = (layout: Layout, integers: boolean) =>
  filled(layout, (length) => (integers ? Int32Array.from({ length }, (_, i) => i * 0x7654321) : wave(length)));

describeKernelPairs('the copying kernels', (pair) => {
  it('copy any layout to any order of axes', () => {
    fc.assert(
      fc.property(copies, ({ layout, order, integers, cuts }) => {
        const { wasm, typescript } = pair.compute(copyDefinition, [fill(layout, integers)], { order }, cuts);
        expectSame(at(wasm, 0), at(typescript, 0));
      }),
      { numRuns: 100 },
    );
  });

  it('assemble parts of any layout, with what lies between them', () => {
    fc.assert(
      fc.property(assemblies, ({ layouts, attributes, cuts }) => {
        const parts = layouts.map((layout) => fill(layout, false));
        const { wasm, typescript } = pair.compute(assembleDefinition, parts, attributes, cuts);
        expectSame(at(wasm, 0), at(typescript, 0));
      }),
      { numRuns: 100 },
    );
  });
});

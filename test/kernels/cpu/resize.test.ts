import fc from 'fast-check';
import { it } from 'vitest';
import { interpolateAxisDefinition } from '../../../src/kernels/resize/index.ts';
import { interpolationTable, RESIZE_MODES, transposeTable } from '../../../src/kernels/resize/table.ts';
import { denseLayout } from '../../../src/tensor/layout.ts';
import { at } from '../../../src/tensor/shape.ts';
import { anyCuts, describeKernelPairs, expectSame, filled, wave } from '../../support/kernel-pair.ts';

const tables = fc
  .record({
    mode: fc.constantFrom(...RESIZE_MODES),
    from: fc.integer({ min: 1, max: 20 }),
    to: fc.integer({ min: 1, max: 30 }),
    corners: fc.boolean(),
    transposed: fc.boolean(),
  })
  .map(({ mode, from, to, corners, transposed }) => {
    const table = interpolationTable(mode, from, to, corners && mode !== 'nearest');
    return transposed ? transposeTable(table) : table;
  });

describeKernelPairs('the interpolating kernel', (pair) => {
  it('resamples any axis, and propagates the gradient, bit for bit as TypeScript does', () => {
    fc.assert(
      fc.property(
        tables,
        fc.array(fc.integer({ min: 1, max: 21 }), { minLength: 2, maxLength: 3 }),
        fc.nat(2),
        anyCuts,
        (table, others, place, cuts) => {
          const axis = Math.min(place, others.length);
          const x = filled(denseLayout(others.toSpliced(axis, 0, table.columns)), wave);
          const layout = denseLayout([table.rows, table.taps]);
          const entries = [
            { ...layout, data: table.indices },
            { ...layout, data: table.weights },
          ];
          const { wasm, typescript } = pair.compute(interpolateAxisDefinition, [x, ...entries], { axis, table }, cuts);
          expectSame(at(wasm, 0), at(typescript, 0));
        },
      ),
      { numRuns: 150 },
    );
  });
});

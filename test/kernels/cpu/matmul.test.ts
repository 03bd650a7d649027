import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import type { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import { expand, linear, matmul, tensor, transpose } from '../../../src/kernels/index.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { expectSums, magnitudes, wave } from '../../support/numbers.ts';
import { cutUp, describeBuilds, guardHeaps } from '../../support/wasm-kernels.ts';

let inPieces = false;
vi.mock('../../../src/kernels/cpu/wasm/kernels.ts', async (original) => {
  const real = await original<typeof import('../../../src/kernels/cpu/wasm/kernels.ts')>();
  const instantiate: typeof real.instantiate = (...args) => cutUp(real.instantiate(...args), () => inPieces);
  return { ...real, instantiate };
});
guardHeaps();

/** Relative L2, against sums in double precision. */
const TOLERANCE = { exact: 1e-6, fast: 1e-5 };

/** How an operand lies: as its shape says, transposed, or the same along a stretched axis. */
const layouts = fc.constantFrom('dense', 'transposed', 'stretched');

const products = fc.record({
  batch: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
  /** Axes of the batch along which an operand has one matrix only. */
  single: fc.tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 7 })),
  rows: fc.integer({ min: 1, max: 30 }),
  depth: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 60, max: 300 })),
  columns: fc.integer({ min: 1, max: 30 }),
  layouts: fc.tuple(layouts, layouts),
  constant: fc.boolean(),
});
type Product = typeof products extends fc.Arbitrary<infer T> ? T : never;

async function run(device: CpuDevice, product: Product, values = wave): Promise<ArrayLike<number>> {
  using scope = new Scope();
  const constants: Tensor[] = [];
  const make = (operand: 0 | 1, rows: number, columns: number) => {
    const batch = product.batch.map((size, axis) => ((product.single[operand] >> axis) & 1 ? 1 : size));
    const layout = product.layouts[operand];
    const swap = layout === 'transposed';
    const shape = [...batch, ...(swap ? [columns, rows] : [layout === 'stretched' ? 1 : rows, columns])];
    const constant = product.constant && operand === 1;
    const x = tensor(device, values(shape, operand), shape, constant ? { constant } : { scope });
    if (constant) constants.push(x);
    const order = shape.map((_, axis) => axis);
    if (swap) return transpose(x, [...order.slice(0, -2), order.length - 1, order.length - 2]);
    return expand(x, [...batch, rows, columns]);
  };
  const [a, b] = [make(0, product.rows, product.depth), make(1, product.depth, product.columns)];
  // The second time with what was packed the first time.
  matmul(a, b);
  const y = await matmul(a, b).data();
  for (const x of [b, ...constants]) x.dispose();
  return y;
}

describeBuilds('the matrix products', (pair, precision) => {
  it('agree with the TypeScript kernel, however the units are shared out', async () => {
    await fc.assert(
      fc.asyncProperty(products, async (product) => {
        const { device, oracle } = pair();
        const actual = await run(device, product);
        inPieces = true;
        const again = await run(device, product).finally(() => {
          inPieces = false;
        });
        expect(again).toEqual(actual);
        expectSums(actual, await run(oracle, product), await run(oracle, product, magnitudes), TOLERANCE[precision]);
      }),
      { numRuns: 100 },
    );
  });

  it('let a NaN come through, and nothing else', async () => {
    using scope = new Scope();
    const { device } = pair();
    const x = tensor(device, [1, Number.NaN, 2, 3], [2, 2], { scope });
    const weight = tensor(device, wave([9, 2], 1), [9, 2], { scope });
    const y = Array.from(await linear(x, weight).data());
    expect(y.map(Number.isNaN)).toEqual(Array.from({ length: 18 }, (_, i) => i < 9));
  });
});

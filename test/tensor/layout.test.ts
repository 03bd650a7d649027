import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import {
  CHANNELS_LAST,
  denseLayout,
  denseStrides,
  expandLayout,
  isDense,
  type Layout,
  physicalOrder,
  reshapeLayout,
} from '../../src/tensor/layout.ts';
import { at, broadcastShapes, normaliseAxes, normaliseAxis, type Shape, sizeOf } from '../../src/tensor/shape.ts';

/** Positions in the storage of all elements, in row-major order: the definition of a layout, written out. */
function positions({ shape, strides, offset }: Layout): number[] {
  let result = [offset];
  for (const [axis, size] of shape.entries()) {
    result = result.flatMap((start) => Array.from({ length: size }, (_, i) => start + i * at(strides, axis)));
  }
  return result;
}

const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });

/** Dense in some order, or with gaps, or stretched (stride 0). */
const layouts: fc.Arbitrary<Layout> = shapes.chain((shape) =>
  fc
    .tuple(
      fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length },
      ),
      fc.array(fc.constantFrom(1, 1, 1, 0, 2), { minLength: shape.length, maxLength: shape.length }),
      fc.nat(3),
    )
    .map(([order, factors, offset]) => ({
      shape,
      strides: denseStrides(shape, order).map((stride, axis) => stride * at(factors, axis)),
      offset,
    })),
);

/** Another shape with as many elements: prime factors dealt out to axes, among them axes of size 1. */
const reshaped = (size: number): fc.Arbitrary<number[]> => {
  const primes: number[] = [];
  for (let rest = size, p = 2; rest > 1; p++) for (; rest % p === 0; rest /= p) primes.push(p);
  return fc
    .tuple(
      fc.shuffledSubarray(primes, { minLength: primes.length }),
      fc.array(fc.nat(4), { minLength: primes.length, maxLength: primes.length }),
    )
    .map(([factors, axes]) => {
      const shape = [1, 1, 1, 1, 1];
      for (const [i, factor] of factors.entries()) shape[at(axes, i)] = at(shape, at(axes, i)) * factor;
      return shape;
    });
};

/** The strides that see these positions as `shape`, if there are any: those of the first element's neighbours. */
function stridesOf(wanted: readonly number[], shape: Shape): number[] | undefined {
  const dense = denseStrides(shape);
  const strides = shape.map((size, axis) => (size === 1 ? 0 : at(wanted, at(dense, axis)) - at(wanted, 0)));
  const actual = positions({ shape, strides, offset: at(wanted, 0) });
  return actual.every((position, i) => position === wanted[i]) ? strides : undefined;
}

describe('reshapeLayout', () => {
  const cases = layouts.chain((layout) => fc.tuple(fc.constant(layout), reshaped(sizeOf(layout.shape))));

  it('finds a view of the same elements in the same order, exactly when there is one', () => {
    fc.assert(
      fc.property(cases, ([layout, shape]) => {
        const before = positions(layout);
        const view = reshapeLayout(layout, shape);
        expect(view !== undefined).toBe(stridesOf(before, shape) !== undefined);
        if (!view) return;
        expect(view.shape).toEqual(shape);
        expect(positions(view)).toEqual(before);
      }),
      { numRuns: 500 },
    );
  });

  it('takes nothing to nothing', () => {
    expect(reshapeLayout(denseLayout([0, 3]), [2, 0])).toEqual(denseLayout([2, 0]));
  });

  it.each([
    ['channels last to pixels and channels', denseLayout([2, 8, 2, 3], CHANNELS_LAST), [2, 8, 6], [48, 1, 8]],
    ['channels last to one vector', denseLayout([2, 8, 2, 3], CHANNELS_LAST), [96], undefined],
    ['a stretched scalar', { shape: [2, 3], strides: [0, 0], offset: 5 }, [6], [0]],
    ['every second row', { shape: [2, 3], strides: [6, 1], offset: 0 }, [6], undefined],
  ] as const)('%s', (_, layout, shape, strides) => {
    expect(reshapeLayout(layout, shape)?.strides).toEqual(strides);
  });
});

describe('dense layouts', () => {
  const ordered = shapes.chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.shuffledSubarray(
        shape.map((_, axis) => axis),
        { minLength: shape.length },
      ),
    ),
  );

  it('fill the storage without gaps, the last axis of the order innermost', () => {
    fc.assert(
      fc.property(ordered, ([shape, order]) => {
        const layout = denseLayout(shape, order);
        expect(positions(layout).sort((a, b) => a - b)).toEqual(Array.from({ length: sizeOf(shape) }, (_, i) => i));
        const innermost = order.at(-1);
        if (innermost !== undefined) expect(layout.strides[innermost]).toBe(1);
        expect(isDense(layout, order)).toBe(true);
      }),
    );
  });

  it('are recognised by their positions, so that axes of size 1 do not count', () => {
    fc.assert(
      fc.property(layouts, (layout) => {
        const row = positions(layout).every((position, i) => position === i);
        expect(isDense(layout)).toBe(row);
      }),
    );
  });

  it('have their order back from their strides', () => {
    fc.assert(
      fc.property(ordered, ([shape, order]) => {
        const layout = denseLayout(shape, order);
        expect(isDense(layout, physicalOrder(layout))).toBe(true);
      }),
    );
  });
});

describe('expandLayout', () => {
  it('repeats elements along missing axes and axes of size 1', () => {
    const layout = { shape: [2, 1], strides: [3, 7], offset: 1 };
    expect(positions(expandLayout(layout, [2, 2, 3]))).toEqual([1, 1, 1, 4, 4, 4, 1, 1, 1, 4, 4, 4]);
  });
});

describe('broadcasting', () => {
  it('stretches sizes of 1 and missing axes, whatever the order of the operands', () => {
    const operands = shapes.chain((shape) =>
      fc.tuple(
        fc.constant(shape),
        fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
        fc.nat(shape.length),
      ),
    );
    fc.assert(
      fc.property(operands, ([shape, ones, dropped]) => {
        const other = shape.map((size, axis) => (ones[axis] ? 1 : size)).slice(dropped);
        expect(broadcastShapes(shape, other)).toEqual(shape);
        expect(broadcastShapes(other, shape)).toEqual(shape);
      }),
    );
  });

  it.each([
    [[], [], []],
    [[2, 1], [3], [2, 3]],
    [
      [4, 1, 5],
      [3, 1],
      [4, 3, 5],
    ],
    [[1], [0], [0]],
  ])('%j with %j is %j', (a, b, result) => {
    expect(broadcastShapes(a, b)).toEqual(result);
  });

  it.each([
    [[2, 3], [2], 'shapes [2, 3] and [2] do not broadcast: axis -1 has sizes 3 and 2'],
    [[2, 3], [4, 1], 'shapes [2, 3] and [4, 1] do not broadcast: axis -2 has sizes 2 and 4'],
    [[0], [2], 'shapes [0] and [2] do not broadcast: axis -1 has sizes 0 and 2'],
  ])('%j with %j does not', (a, b, message) => {
    expect(() => broadcastShapes(a, b)).toThrow(new UsageError(message));
  });
});

describe('axes', () => {
  it('are counted from the end when negative', () => {
    expect([normaliseAxis(0, 3), normaliseAxis(-1, 3), normaliseAxis(-3, 3)]).toEqual([0, 2, 0]);
    expect(normaliseAxes([-1, 0], 3)).toEqual([0, 2]);
  });

  it.each([3, -4, 0.5, Number.NaN])('%d of 3 is refused', (axis) => {
    const message = `axis ${axis} is out of range for a tensor with 3 axes; use -3 to 2`;
    expect(() => normaliseAxis(axis, 3)).toThrow(new UsageError(message));
  });

  it('may not be named twice', () => {
    expect(() => normaliseAxes([2, -1], 3)).toThrow(new UsageError('axes [2, -1] name one axis twice'));
  });
});

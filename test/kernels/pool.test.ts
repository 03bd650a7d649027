import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import type { Pair } from '../../src/kernels/core/pair.ts';
import { tensor } from '../../src/kernels/create.ts';
import type { GradientRule } from '../../src/kernels/gradient.ts';
import { adaptiveAvgPool2dGradient, pool2dGradient } from '../../src/kernels/pool/gradient.ts';
import {
  adaptiveAvgPool2d,
  avgPool2d,
  globalAvgPool2d,
  maxPool2d,
  type Pool2dAttributes,
} from '../../src/kernels/pool/index.ts';
import { CHANNELS_LAST, isDense } from '../../src/tensor/layout.ts';
import { at, type Shape, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

/** The positions of one window along one axis, those outside the input included. */
type Positions = readonly number[];

/** Windows by the definition: they start every `stride` positions while they fit into the padded input, or partly fit. */
function slidingWindows(size: number, attributes: Pool2dAttributes, axis: 0 | 1): Positions[] {
  const { ceilMode, kernel, stride, padding, dilation } = attributes;
  const windows: number[][] = [];
  for (let start = -padding[axis]; start < size; start += stride[axis]) {
    const window = Array.from({ length: kernel[axis] }, (_, tap) => start + tap * dilation[axis]);
    const previousEnd = windows.at(-1)?.at(-1) ?? Number.NEGATIVE_INFINITY;
    const isLast = at(window, window.length - 1) >= size + padding[axis];
    if (isLast && (!ceilMode || previousEnd === size + padding[axis] - 1)) break;
    windows.push(window);
    if (isLast) break;
  }
  return windows;
}

/** One pooled value: for each element of x in its window the address and the derivative with respect to it. */
type Dependence = readonly (readonly [address: number, derivative: number])[];

/** What each value of the result depends on, in row-major order of the result. */
function dependences(
  [images = 0, channels = 0, height = 0, width = 0]: Shape,
  rows: readonly Positions[],
  columns: readonly Positions[],
  derivatives: (window: readonly Position[]) => readonly number[],
): Dependence[] {
  const planes = Array.from({ length: images * channels }, (_, plane) => plane);
  return planes.flatMap((plane) =>
    rows.flatMap((rowPositions) =>
      columns.map((columnPositions) => {
        const window = rowPositions.flatMap((row) =>
          columnPositions.map((column) => {
            const inside = row >= 0 && row < height && column >= 0 && column < width;
            return { row, column, address: inside ? (plane * height + row) * width + column : undefined };
          }),
        );
        const slopes = derivatives(window);
        return window.flatMap(({ address }, i) => (address === undefined ? [] : [[address, at(slopes, i)] as const]));
      }),
    ),
  );
}

interface Position {
  readonly row: number;
  readonly column: number;
  /** In row-major x; undefined in the padding. */
  readonly address: number | undefined;
}

const forward = (x: Float32Array, all: readonly Dependence[]) =>
  all.map((one) => one.reduce((sum, [address, derivative]) => sum + derivative * at(x, address), 0));

function backward(size: number, cotangent: Float32Array, all: readonly Dependence[]): number[] {
  const scores = cotangent.length / all.length;
  const gradient = new Array<number>(scores * size).fill(0);
  for (let k = 0; k < scores; k++) {
    for (const [i, one] of all.entries()) {
      for (const [address, derivative] of one) {
        gradient[k * size + address] =
          at(gradient, k * size + address) + derivative * at(cotangent, k * all.length + i);
      }
    }
  }
  return gradient;
}

function firstMaximum(x: Float32Array): (window: readonly Position[]) => number[] {
  return (window) => {
    const values = window.map(({ address }) => (address === undefined ? Number.NEGATIVE_INFINITY : at(x, address)));
    const winner = values.indexOf(Math.max(...values));
    return values.map((_, i) => (i === winner ? 1 : 0));
  };
}

function averageOver(counts: (position: Position) => boolean): (window: readonly Position[]) => number[] {
  return (window) => window.map(() => 1 / window.filter(counts).length);
}

const SCORES = 2;
const pairOf = (min: number, max: number) => fc.tuple(fc.integer({ min, max }), fc.integer({ min, max }));
const shapes = fc.tuple(
  fc.integer({ min: 1, max: 2 }),
  fc.integer({ min: 1, max: 5 }),
  fc.integer({ min: 1, max: 9 }),
  fc.integer({ min: 1, max: 9 }),
);

/** Attributes whose windows all hold a position of the input, and an input into which they fit. */
const pooling = (mode: Pool2dAttributes['mode']) =>
  fc
    .record({
      shape: shapes,
      kernel: pairOf(1, 4),
      stride: pairOf(1, 4),
      halves: pairOf(0, 2),
      dilation: mode === 'max' ? pairOf(1, 2) : fc.constant<Pair>([1, 1]),
      ceilMode: fc.boolean(),
      countIncludePad: fc.boolean(),
      channelsLast: fc.boolean(),
      seed: fc.integer(),
    })
    .map(({ halves, ...rest }) => {
      const padding: Pair = [Math.min(halves[0], rest.kernel[0] >> 1), Math.min(halves[1], rest.kernel[1] >> 1)];
      return { ...rest, mode, padding };
    })
    .filter(({ shape, kernel, padding, dilation }) =>
      ([0, 1] as const).every((d) => at(shape, d + 2) + 2 * padding[d] > dilation[d] * (kernel[d] - 1)),
    );

/** Small integers, so that maxima are often tied. */
function integers(length: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 24) % 9) - 4;
  });
}

describeDevice('pooling', (device) => {
  const upload = (values: Float32Array, shape: Shape, channelsLast = false) =>
    tensor(device(), values, shape, channelsLast ? { order: CHANNELS_LAST } : {});

  /** The derivatives of `y` with respect to `x` by a rule, for the cotangents [K, ...y]. */
  async function gradientOf<A>(rule: GradientRule<A>, attributes: A, x: Tensor, y: Tensor, cotangent: Float32Array) {
    using dy = upload(cotangent, [cotangent.length / y.size, ...y.shape]);
    const [thunk] = rule({ inputs: [x], outputs: [y], attributes, cotangents: [dy] });
    if (!thunk) throw new Error('the rule has no gradient for x');
    using gradient = thunk();
    expect(gradient.shape).toEqual([cotangent.length / y.size, ...x.shape]);
    return await gradient.data();
  }

  /** Compares a pooling and its gradient with a list of what each result depends on. */
  async function expectPooling<A>(
    given: { readonly x: Float32Array; readonly shape: Shape; readonly seed: number; readonly channelsLast: boolean },
    op: (x: Tensor) => Tensor,
    rule: GradientRule<A>,
    attributes: A,
    expected: readonly Dependence[],
  ) {
    const before = device().memory().blocks;
    {
      using x = upload(given.x, given.shape, given.channelsLast);
      using y = op(x);
      expect(isDense(y, CHANNELS_LAST)).toBe(true);
      expectClose(await y.data(), forward(given.x, expected), TOLERANCE, 'forward');
      const cotangent = integers(SCORES * y.size, given.seed + 1);
      const actual = await gradientOf(rule, attributes, x, y, cotangent);
      expectClose(actual, backward(x.size, cotangent, expected), TOLERANCE, 'gradient');
    }
    expect(device().memory().blocks).toBe(before);
  }

  it('takes the maximum of each window, and its gradient goes to the first maximum', async () => {
    await fc.assert(
      fc.asyncProperty(pooling('max'), async ({ shape, seed, channelsLast, ...attributes }) => {
        const x = integers(sizeOf(shape), seed);
        const [rows, columns] = [slidingWindows(shape[2], attributes, 0), slidingWindows(shape[3], attributes, 1)];
        // A dilated window can lie in the padding altogether; it has a test of its own.
        fc.pre(
          ![rows, columns].some((windows, d) => windows.some((w) => w.every((i) => i < 0 || i >= at(shape, d + 2)))),
        );
        const expected = dependences(shape, rows, columns, firstMaximum(x));
        await expectPooling(
          { x, shape, seed, channelsLast },
          (t) => maxPool2d(t, attributes),
          pool2dGradient,
          attributes,
          expected,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('averages each window over the elements that count', async () => {
    await fc.assert(
      fc.asyncProperty(pooling('average'), async ({ shape, seed, channelsLast, ...attributes }) => {
        // Above 0, since a sum that cancels has no digits to compare.
        const x = integers(sizeOf(shape), seed).map((value) => value + 5);
        const [rows, columns] = [slidingWindows(shape[2], attributes, 0), slidingWindows(shape[3], attributes, 1)];
        const [bottom, right] = [shape[2] + attributes.padding[0], shape[3] + attributes.padding[1]];
        const counts = ({ row, column, address }: Position) =>
          attributes.countIncludePad ? row < bottom && column < right : address !== undefined;
        const expected = dependences(shape, rows, columns, averageOver(counts));
        await expectPooling(
          { x, shape, seed, channelsLast },
          (t) => avgPool2d(t, attributes),
          pool2dGradient,
          attributes,
          expected,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('averages adaptively: window i covers floor(i H / h) to ceil((i + 1) H / h)', async () => {
    const evenly = (from: number, to: number) =>
      Array.from({ length: to }, (_, i) => {
        const overlaps = (position: number) => (position + 1) * to > i * from && position * to < (i + 1) * from;
        return Array.from({ length: from }, (_, position) => position).filter(overlaps);
      });
    await fc.assert(
      fc.asyncProperty(shapes, pairOf(1, 11), fc.boolean(), fc.integer(), async (shape, size, channelsLast, seed) => {
        const x = integers(sizeOf(shape), seed);
        const expected = dependences(
          shape,
          evenly(shape[2], size[0]),
          evenly(shape[3], size[1]),
          averageOver(() => true),
        );
        await expectPooling(
          { x, shape, seed, channelsLast },
          (t) => adaptiveAvgPool2d(t, size),
          adaptiveAvgPool2dGradient,
          { size },
          expected,
        );
      }),
      { numRuns: 40 },
    );
  });

  it('averages whole channels globally', async () => {
    using x = upload(Float32Array.of(1, 2, 3, 6, -1, -2, -3, 2), [1, 2, 2, 2]);
    using y = globalAvgPool2d(x);
    expect(y.shape).toEqual([1, 2]);
    expect([...(await y.data())]).toEqual([3, -1]);
  });

  it('fills options in as PyTorch does', async () => {
    using x = upload(
      Float32Array.from({ length: 16 }, (_, i) => i + 1),
      [1, 1, 4, 4],
    );
    using max = maxPool2d(x, { kernel: [2, 3] });
    expect(max.shape).toEqual([1, 1, 2, 1]);
    expect([...(await max.data())]).toEqual([7, 15]);
    using average = avgPool2d(x, { kernel: 3, stride: 2, padding: 1, ceilMode: true });
    // torch.nn.functional.avg_pool2d(x, 3, 2, 1, ceil_mode=True)
    expectClose(await average.data(), [14 / 9, 20 / 6, 2, 38 / 6, 11, 6, 4.5, 7.5, 4], TOLERANCE);
  });

  it('has one window in ceil mode where the kernel is larger than the image', async () => {
    using x = upload(Float32Array.of(1, 2, 3, 4), [1, 1, 2, 2]);
    using max = maxPool2d(x, { kernel: 3, stride: 2, ceilMode: true });
    using average = avgPool2d(x, { kernel: 3, stride: 2, ceilMode: true });
    // torch.nn.functional.max_pool2d and avg_pool2d(x, 3, 2, ceil_mode=True)
    expect([await max.item(), await average.item()]).toEqual([4, 2.5]);
  });

  it('gives NaN for a window with a NaN, and the gradient to the last one', async () => {
    const { NaN: nan } = Number;
    using x = upload(Float32Array.of(1, nan, 3, nan, 0, 5, 2, 1, 9, 0, 0, 0), [1, 1, 3, 4]);
    const attributes: Pool2dAttributes = {
      mode: 'max',
      kernel: [2, 4],
      stride: [1, 1],
      padding: [0, 0],
      dilation: [1, 1],
      ceilMode: false,
      countIncludePad: false,
    };
    using y = maxPool2d(x, attributes);
    expect([...(await y.data())]).toEqual([nan, 9]);
    const gradient = await gradientOf(pool2dGradient, attributes, x, y, Float32Array.of(1, 2));
    expect([...gradient]).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0]);
  });

  it('takes -inf for a value like any other, and for the padding', async () => {
    const attributes: Pool2dAttributes = {
      mode: 'max',
      kernel: [2, 2],
      stride: [2, 2],
      padding: [1, 1],
      dilation: [2, 2],
      ceilMode: false,
      countIncludePad: false,
    };
    // The elements of the only window are the four corners around the image.
    using alone = upload(Float32Array.of(3), [1, 1, 1, 1]);
    using outside = maxPool2d(alone, attributes);
    expect(await outside.item()).toBe(Number.NEGATIVE_INFINITY);
    expect([...(await gradientOf(pool2dGradient, attributes, alone, outside, Float32Array.of(1)))]).toEqual([0]);

    const plain: Pool2dAttributes = { ...attributes, padding: [0, 0], dilation: [1, 1] };
    using infinite = upload(new Float32Array(4).fill(Number.NEGATIVE_INFINITY), [1, 1, 2, 2]);
    using y = maxPool2d(infinite, plain);
    expect(await y.item()).toBe(Number.NEGATIVE_INFINITY);
    expect([...(await gradientOf(pool2dGradient, plain, infinite, y, Float32Array.of(1)))]).toEqual([1, 0, 0, 0]);
  });

  it('has no images in, no images out', async () => {
    using x = upload(new Float32Array(0), [0, 3, 4, 4]);
    using y = maxPool2d(x, { kernel: 2 });
    expect(y.shape).toEqual([0, 3, 2, 2]);
    expect(await y.data()).toHaveLength(0);
  });

  it.each([
    ['a kernel of 0', (x: Tensor) => maxPool2d(x, { kernel: 0 }), 'kernel 0'],
    ['half a stride', (x: Tensor) => avgPool2d(x, { kernel: 2, stride: 0.5 }), 'stride 0.5'],
    ['a negative padding', (x: Tensor) => maxPool2d(x, { kernel: 2, padding: [0, -1] }), 'padding [0, -1]'],
    ['a dilation of 0', (x: Tensor) => maxPool2d(x, { kernel: 2, dilation: 0 }), 'dilation 0'],
    ['too much padding', (x: Tensor) => maxPool2d(x, { kernel: 3, padding: 2 }), 'more than half'],
    ['too much padding for an average', (x: Tensor) => avgPool2d(x, { kernel: [4, 1], padding: 1 }), 'more than half'],
    ['a kernel that does not fit', (x: Tensor) => maxPool2d(x, { kernel: 6 }), 'no window of 6x6'],
    ['a dilated kernel that does not fit', (x: Tensor) => maxPool2d(x, { kernel: 3, dilation: 3 }), 'no window of 3x3'],
    ['an adaptive size of 0', (x: Tensor) => adaptiveAvgPool2d(x, [0, 1]), 'size [0, 1]'],
  ])('refuses %s', (_, op, message) => {
    using x = upload(new Float32Array(25), [1, 1, 5, 5]);
    expect(() => op(x)).toThrow(UsageError);
    expect(() => op(x)).toThrow(message);
  });

  it.each([
    ['no batch', [3, 5, 5]],
    ['no rows', [1, 3, 0, 5]],
    ['no channels', [1, 0, 5, 5]],
  ])('refuses a tensor with %s', (_, shape) => {
    using x = upload(new Float32Array(sizeOf(shape)), shape);
    for (const op of [
      () => maxPool2d(x, { kernel: 2 }),
      () => avgPool2d(x, { kernel: 2 }),
      () => adaptiveAvgPool2d(x, 1),
      () => globalAvgPool2d(x),
    ]) {
      expect(op).toThrow(UsageError);
    }
  });
});

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/create.ts';
import { interpolateAxisGradient } from '../../src/kernels/resize/gradient.ts';
import { interpolateAxis, type ResizeMode, resize } from '../../src/kernels/resize/index.ts';
import { interpolationTable } from '../../src/kernels/resize/table.ts';
import { transpose } from '../../src/kernels/view/index.ts';
import { at, sizeOf } from '../../src/tensor/shape.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

/** The interpolation kernels as functions of the distance (Keys 1981, a = -0.75, for the cubic one). */
const kernels = {
  bilinear: (d: number) => Math.max(0, 1 - d),
  bicubic: (d: number) => {
    if (d >= 2) return 0;
    return d < 1 ? 1.25 * d ** 3 - 2.25 * d ** 2 + 1 : -0.75 * d ** 3 + 3.75 * d ** 2 - 6 * d + 3;
  },
};

/** One line resampled by the definition: a sum over the whole line, whose ends repeat outwards. */
function resampled(line: readonly number[], to: number, mode: 'bilinear' | 'bicubic', alignCorners: boolean): number[] {
  const from = line.length;
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) / to) * from - 0.5;
    const position = alignCorners ? (i / Math.max(1, to - 1)) * (from - 1) : centre;
    let sum = 0;
    for (let j = -3; j < from + 3; j++) {
      sum += kernels[mode](Math.abs(position - j)) * at(line, Math.min(Math.max(j, 0), from - 1));
    }
    return sum;
  });
}

function resampledImage(
  rows: readonly (readonly number[])[],
  [height, width]: readonly [number, number],
  ...how: ['bilinear' | 'bicubic', boolean]
) {
  const wide = rows.map((row) => resampled(row, width, ...how));
  const columns = Array.from({ length: width }, (_, j) =>
    resampled(
      wide.map((row) => at(row, j)),
      height,
      ...how,
    ),
  );
  return Array.from({ length: height }, (_, i) => columns.map((column) => at(column, i)));
}

const size = fc.integer({ min: 1, max: 9 });
const modes = fc.constantFrom<ResizeMode>('nearest', 'bilinear', 'bicubic');
/** Positive values, so that no result is a difference of nearly equal numbers. */
const floats = (length: number) =>
  fc.array(fc.float({ min: 0.5, max: 2, noNaN: true }), { minLength: length, maxLength: length });
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * at(b, i), 0);

describeDevice('resize', (device) => {
  it('is the sum of the pixels weighted by their distances', async () => {
    const images = fc.tuple(size, size).chain(([h, w]) => fc.tuple(fc.constant(w), floats(h * w)));
    await fc.assert(
      fc.asyncProperty(
        images,
        fc.tuple(size, size),
        fc.constantFrom('bilinear', 'bicubic'),
        fc.boolean(),
        async ([w, pixels], to, mode, alignCorners) => {
          const before = device().memory().blocks;
          const h = pixels.length / w;
          const rows = Array.from({ length: h }, (_, i) => pixels.slice(i * w, (i + 1) * w));
          {
            using x = tensor(device(), pixels, [h, w]);
            using y = resize(x, { size: to, mode, alignCorners });
            expect(y.shape).toEqual(to);
            const expected = resampledImage(rows, to, mode, alignCorners).flat();
            expectClose(await y.data(), expected, TOLERANCE);
          }
          expect(device().memory().blocks).toBe(before);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('takes the nearest pixel at or before the exact position', async () => {
    // Sizes whose ratio is a power of two, so that no rounding enters.
    for (const [from, to] of [
      [3, 6],
      [3, 12],
      [8, 2],
      [6, 3],
    ] as const) {
      using x = tensor(
        device(),
        Float32Array.from({ length: from }, (_, i) => i),
        [1, from],
      );
      using y = resize(x, { size: [1, to], mode: 'nearest' });
      expect([...(await y.data())]).toEqual(Array.from({ length: to }, (_, i) => Math.floor((i * from) / to)));
    }
  });

  it('rounds the position of the nearest pixel to float32 as PyTorch does', async () => {
    using x = tensor(device(), [0, 1, 2], [1, 3]);
    using y = resize(x, { size: [1, 123], mode: 'nearest' });
    const values = await y.data();
    // torch.nn.functional.interpolate gives 0 and 1 here, where floor(41 * 3 / 123) = 1 and floor(82 * 3 / 123) = 2.
    expect([at(values, 41), at(values, 42), at(values, 82), at(values, 83)]).toEqual([0, 1, 1, 2]);
  });

  it('resizes the last two axes of any rank and layout', async () => {
    const values = Float32Array.from({ length: 2 * 3 * 4 * 5 }, (_, i) => Math.sin(i));
    using rowMajor = tensor(device(), values, [2, 3, 4, 5]);
    using channelsLast = tensor(device(), values, [2, 3, 4, 5], { order: [0, 2, 3, 1] });
    using flat = tensor(device(), values, [6, 4, 5]);
    const options = { size: [7, 3], mode: 'bilinear' } as const;
    using a = resize(rowMajor, options);
    using b = resize(channelsLast, options);
    using c = resize(flat, options);
    const expected = Array.from({ length: 6 }, (_, plane) => {
      const rows = Array.from({ length: 4 }, (_, i) => [...values.slice((plane * 4 + i) * 5, (plane * 4 + i + 1) * 5)]);
      return resampledImage(rows, [7, 3], 'bilinear', false).flat();
    }).flat();
    for (const y of [a, b, c]) expectClose(await y.data(), expected, TOLERANCE);
  });

  it('leaves an image of the same size as it is, bit by bit', async () => {
    using x = tensor(device(), [0.1, -0.2, 0.3, 0.4, 0.5, -0.6], [1, 1, 2, 3]);
    for (const mode of ['nearest', 'bilinear', 'bicubic'] as const) {
      using y = resize(x, { size: [2, 3], mode });
      expect(await y.data()).toEqual(await x.data());
    }
  });

  it('interpolates along any axis, and its gradient is the transpose: <A x, g> = <x, A^T g>', async () => {
    const cases = fc
      .record({
        shape: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
        axis: fc.nat(3),
        to: size,
        mode: modes,
        corners: fc.boolean(),
        reversed: fc.boolean(),
      })
      .filter(({ shape, axis }) => axis < shape.length)
      .chain((given) => {
        const shape = given.shape.map((n, k) => (k === given.axis ? given.to : n));
        return fc.record({
          given: fc.constant(given),
          values: floats(sizeOf(given.shape)),
          cotangent: floats(2 * sizeOf(shape)),
        });
      });
    await fc.assert(
      fc.asyncProperty(cases, async ({ given, values, cotangent }) => {
        const { shape, axis, to, mode, corners, reversed } = given;
        const table = interpolationTable(mode, at(shape, axis), to, corners);
        using stored = tensor(device(), values, reversed ? shape.toReversed() : shape);
        using x = reversed ? transpose(stored) : stored.alias();
        using y = interpolateAxis(x, axis, table);
        const wanted = shape.map((n, k) => (k === axis ? to : n));
        expect(y.shape).toEqual(wanted);
        using g = tensor(device(), cotangent, [2, ...wanted]);
        const [thunk] = interpolateAxisGradient({
          inputs: [x],
          outputs: [y],
          attributes: { axis, table },
          cotangents: [g],
        });
        if (!thunk) throw new Error('the rule has no gradient for x');
        using gradient = thunk();
        expect(gradient.shape).toEqual([2, ...shape]);
        const [xs, ys, gs, gradients] = [await x.data(), await y.data(), await g.data(), await gradient.data()];
        for (const k of [0, 1]) {
          const score = gs.slice(k * ys.length, (k + 1) * ys.length);
          const error = dot(ys, score) - dot(xs, gradients.slice(k * xs.length, (k + 1) * xs.length));
          expect(Math.abs(error)).toBeLessThanOrEqual(TOLERANCE * Math.sqrt(dot(ys, ys) * dot(score, score)));
        }
      }),
      { numRuns: 50 },
    );
  });

  it.each([
    ['a size of 0', { size: 0, mode: 'bilinear' as const }, 'size 0'],
    ['a fractional size', { size: [2, 1.5], mode: 'nearest' } as const, 'size [2, 1.5]'],
    ['an unknown mode', { size: 2, mode: 'area' as ResizeMode }, 'mode "area"'],
    ['corners of the nearest pixel', { size: 2, mode: 'nearest' as const, alignCorners: true }, 'alignCorners'],
  ])('refuses %s', (_, options, message) => {
    using x = tensor(device(), new Float32Array(9), [3, 3]);
    expect(() => resize(x, options)).toThrow(UsageError);
    expect(() => resize(x, options)).toThrow(message);
  });

  it.each([[[4]], [[2, 0, 3]], [[2, 3, 0]]])('refuses a tensor of shape %j', (shape) => {
    using x = tensor(device(), new Float32Array(sizeOf(shape)), shape);
    expect(() => resize(x, { size: 2, mode: 'bilinear' })).toThrow('wants images');
  });
});

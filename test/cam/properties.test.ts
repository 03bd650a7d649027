import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  activate,
  channelImportance,
  classMaps,
  filterMaximum,
  fmGCam,
  fuse,
  gradCam,
  normalise,
  topClasses,
} from '../../src/cam/algorithm.ts';
import { type ExplainOptions, type Explanation, explainTensor, type Steps } from '../../src/cam/explain.ts';
import { referenceMaps } from '../../src/cam/reference.ts';
import { UsageError } from '../../src/errors.ts';
import { slice, tensor } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { type ArrayCase, arrayOfShape, groupsAlong } from '../support/arrays.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, randomModel } from '../support/random-model.ts';

const RUNS = { numRuns: 25 };

/** Class maps [N,K,I,J] whose values are multiples of 1/8, so that there are ties and float32 adds and doubles exactly. */
const maps: fc.Arbitrary<ArrayCase> = fc
  .tuple(
    fc.integer({ min: 1, max: 2 }),
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
  )
  .chain(arrayOfShape);

const mapsOf = (f: (values: number[]) => number[]) => maps.map((R) => ({ ...R, values: f(R.values) }));

type Arrays = readonly (readonly [values: ArrayLike<number>, shape: readonly number[]])[];

describe('equation 1', () => {
  it('takes the most probable classes, and of equal ones those with the lower index', () => {
    const probability = fc.integer({ min: 0, max: 6 }).map((n) => n / 8);
    fc.assert(
      fc.property(fc.array(probability, { minLength: 1, maxLength: 12 }), fc.nat(), (p, seed) => {
        const k = 1 + (seed % p.length);
        const top = topClasses(p, k);
        expect(new Set(top).size).toBe(k);
        const precedes = (m: number, n: number) => at(p, m) > at(p, n) || (at(p, m) === at(p, n) && m < n);
        for (let i = 1; i < k; i++) expect(precedes(at(top, i - 1), at(top, i))).toBe(true);
        const others = p.map((_, n) => n).filter((n) => !top.includes(n));
        for (const n of others) expect(precedes(at(top, k - 1), n)).toBe(true);
      }),
    );
  });

  it.each([0, -1, 4, 1.5, Number.NaN])('refuses K = %d of 3 classes', (k) => {
    expect(() => topClasses([0.5, 0.25, 0.25], k)).toThrow(
      new UsageError(`topK ${k} is out of range: this model has 3 classes; use 1 to 3`),
    );
  });
});

describeDevice('the algorithm', (device) => {
  afterAll(() => expect(device().memory().blocks).toBe(0));

  /** The values of a function of arrays. */
  async function run(f: (...tensors: Tensor[]) => Tensor, ...arrays: Arrays): Promise<number[]> {
    using scope = new Scope();
    const result = f(...arrays.map(([values, shape]) => tensor(device(), Array.from(values), shape, { scope })));
    return Array.from(await result.data());
  }

  const property = <T>(arbitrary: fc.Arbitrary<T>, predicate: (value: T) => Promise<void>) =>
    fc.assert(fc.asyncProperty(arbitrary, predicate), RUNS);

  describe('worked by hand: 2 classes, 2 channels, 2 x 2 pixels', () => {
    // biome-ignore format: one image per line
    const activations = [[1, 2, 3, 4, 2, 0, 0, 2], [1, 2, 2, 2]] as const;
    // biome-ignore format: one class per line
    const gradients = [
      [-1, -3, 0, 0, 12, 0, 0, 0,
       -1, -1, 0, 0, 1, 2, 2, 3], [1, 2, 2, 2, 2],
    ] as const;
    // The means of the gradients: -4/4 and 12/4; -2/4 and 8/4.
    const alpha = [
      [-1, 3, -0.5, 2],
      [1, 2, 2],
    ] as const;
    // R[0] = (-a[0] + 3 a[1]) / 2, R[1] = (-a[0] / 2 + 2 a[1]) / 2
    const R = [
      [2.5, -1, -1.5, 1, 1.75, -0.5, -0.75, 1],
      [1, 2, 2, 2],
    ] as const;
    // Class 0 wins the first pixel, class 1 the next two with negative values, and the last one is a tie.
    const S = [
      [2.5, 0, 0, 1, 0, -0.5, -0.75, 1],
      [1, 2, 2, 2],
    ] as const;
    // The squares add up to 6.25 + 1 + 0.25 + 0.5625 + 1 = 145 / 16.
    const S_normalised = [10, 0, 0, 4, 0, -2, -3, 4].map((value) => value / Math.sqrt(145));

    it('equation 2', async () => expect(await run(channelImportance, gradients)).toEqual(alpha[0]));
    it('equation 3', async () => expect(await run(classMaps, alpha, activations)).toEqual(R[0]));
    it('equation 4', async () => expect(await run(filterMaximum, R)).toEqual(S[0]));

    it('equation 5', async () => {
      expect(await run((S) => fuse([S]), S)).toEqual(S[0]);
      const ofClass = (S: Tensor, k: number) => slice(S, [0, k, 0, 0], [1, k + 1, 2, 2]);
      expect(await run((S) => fuse([ofClass(S, 0), ofClass(S, 1)]), S)).toEqual(S[0]);
    });

    it('equation 6', async () => {
      expectClose(await run(normalise, S), S_normalised, TOLERANCE);
      const kept = [10, 0, 0, 4, 0, 0, 0, 4].map((value) => value / Math.sqrt(145));
      expectClose(await run((R) => fmGCam(R), R), kept, TOLERANCE);
      const elu = S_normalised.map((value) => (value < 0 ? Math.exp(value) - 1 : value));
      expectClose(await run((R) => fmGCam(R, 'elu'), R), elu, TOLERANCE);
    });

    it('Grad-CAM', async () => {
      expect(await run(gradCam, alpha, activations)).toEqual([5, 0, 0, 2, 3.5, 0, 0, 2]);
    });

    it('reference mode', async () => {
      // Class 1 has alpha (-1)(-1/2) = 1/2 and 3 x 2 = 6, so R[1] = (a[0] / 2 + 6 a[1]) / 2 and wins everywhere. Its columns
      // have the norms of (6.25, 0.75) and (0.5, 7); the greatest quotient is 7 / sqrt(49.25), and the least is 0.
      const first = Math.hypot(6.25, 0.75);
      const second = Math.hypot(0.5, 7);
      const scaled = [6.25 / first, 0.5 / second, 0.75 / first, 7 / second].map((value) => (value * second) / 7);
      const expected = [0, 0, 0, 0, ...scaled];
      expectClose(await run((alpha, a) => referenceMaps(alpha, a), alpha, activations), expected, TOLERANCE);
    });

    it('reference mode keeps the first class of a tie, and is zero where everything is equal', async () => {
      // The importance of class 1 is multiplied by 1: both classes have R[0], whose columns are (2.5, -1.5) and (-1, 1).
      const tied = [
        [-1, 3, 1, 1],
        [1, 2, 2],
      ] as const;
      const expected = [1, 0, 0, Math.SQRT1_2 / (2.5 / Math.hypot(2.5, 1.5)), 0, 0, 0, 0];
      expectClose(await run((alpha, a) => referenceMaps(alpha, a), tied, activations), expected, TOLERANCE);
      const nothing = [
        [0, 0, 0, 0],
        [1, 2, 2],
      ] as const;
      expect(await run((alpha, a) => referenceMaps(alpha, a), nothing, activations)).toEqual(new Array(8).fill(0));
    });
  });

  describe('equation 4', () => {
    it('keeps one class for each pixel, or those that tie', () =>
      property(maps, async ({ values, shape }) => {
        const S = await run(filterMaximum, [values, shape]);
        for (const group of groupsAlong(shape, [1])) {
          const largest = Math.max(...group.map((i) => at(values, i)));
          const attaining = group.filter((i) => values[i] === largest);
          expect(group.filter((i) => S[i] !== 0)).toEqual(largest === 0 ? [] : attaining);
          const total = group.reduce((sum, i) => sum + at(S, i), 0);
          expect(total).toBe(largest * attaining.length);
        }
      }));

    it('permutes with the classes', () =>
      property(maps, async ({ values, shape }) => {
        const groups = groupsAlong(shape, [1]);
        const reversed = (list: readonly number[]) => {
          const result = [...list];
          for (const group of groups) {
            for (const [k, i] of group.entries()) result[i] = at(list, at(group, group.length - 1 - k));
          }
          return result;
        };
        const S = await run(filterMaximum, [values, shape]);
        expect(await run(filterMaximum, [reversed(values), shape])).toEqual(reversed(S));
      }));

    it('scales with its input, so that the winners stay', () =>
      property(fc.tuple(maps, fc.integer({ min: -90, max: 90 })), async ([{ values, shape }, exponent]) => {
        const scale = 2 ** exponent;
        const S = await run(filterMaximum, [values, shape]);
        const scaled = await run(filterMaximum, [values.map((value) => value * scale), shape]);
        expect(scaled).toEqual(S.map((value) => value * scale));
      }));

    it('changes nothing the second time if no value is negative', () =>
      property(
        mapsOf((values) => values.map(Math.abs)),
        async ({ values, shape }) => {
          const S = await run(filterMaximum, [values, shape]);
          expect(await run(filterMaximum, [S, shape])).toEqual(S);
        },
      ));

    it('a negative winner loses to the zeros of the others the second time, unless all tie', async () => {
      const shape = [1, 2, 1, 2];
      expect(await run(filterMaximum, [[-1, -3, -2, -3], shape])).toEqual([-1, -3, 0, -3]);
      expect(await run(filterMaximum, [[-1, -3, 0, -3], shape])).toEqual([0, -3, 0, -3]);
    });

    it('leaves a single class as it is', () =>
      property(maps, async ({ values }) => {
        expect(await run(filterMaximum, [values, [1, 1, 1, values.length]])).toEqual(values);
      }));
  });

  describe('the quotient of equation 6', () => {
    const norms = (values: readonly number[], [N = 1]: readonly number[]) => {
      const size = values.length / N;
      return Array.from({ length: N }, (_, n) => Math.hypot(...values.slice(n * size, (n + 1) * size)));
    };

    it('has norm 1 for each image, or is exactly zero, from 1e-30 to 1e30', () =>
      property(fc.tuple(maps, fc.integer({ min: -30, max: 30 })), async ([{ values, shape }, exponent]) => {
        const quotient = await run(normalise, [values.map((value) => value * 10 ** exponent), shape]);
        for (const [n, norm] of norms(values, shape).entries()) {
          const actual = at(norms(quotient, shape), n);
          if (norm === 0) expect(actual).toBe(0);
          else expect(Math.abs(actual - 1)).toBeLessThanOrEqual(TOLERANCE);
        }
      }));

    it('does not depend on the scale', () =>
      property(fc.tuple(maps, fc.integer({ min: -30, max: 30 })), async ([{ values, shape }, exponent]) => {
        const scaled = values.map((value) => value * 10 ** exponent);
        expectClose(await run(normalise, [scaled, shape]), await run(normalise, [values, shape]), TOLERANCE);
      }));

    it('keeps zeros, signs and the order of an image', () =>
      property(maps, async ({ values, shape }) => {
        const quotient = await run(normalise, [values, shape]);
        expect(quotient.map((value) => Math.sign(value) || 0)).toEqual(values.map((value) => Math.sign(value) || 0));
        const size = values.length / at(shape, 0);
        const ascending = values.map((_, i) => i).sort((i, j) => at(values, i) - at(values, j));
        for (let n = 0; n < at(shape, 0); n++) {
          const ofImage = ascending.filter((i) => Math.floor(i / size) === n);
          for (let r = 1; r < ofImage.length; r++) {
            expect(at(quotient, at(ofImage, r))).toBeGreaterThanOrEqual(at(quotient, at(ofImage, r - 1)));
          }
        }
      }));

    it('is zero, not NaN, for a blank image beside another one', async () => {
      expect(
        await run(normalise, [
          [0, 0, 0, 0, 3, 0, 0, -3],
          [2, 2, 2, 1],
        ]),
      ).toEqual([0, 0, 0, 0, expect.closeTo(Math.SQRT1_2, 4), 0, 0, expect.closeTo(-Math.SQRT1_2, 4)]);
    });

    it.each(['relu', 'elu', 'gelu'] as const)('blank maps stay blank through %s', async (activation) => {
      expect(
        await run(
          (R) => fmGCam(R, activation),
          [
            [0, 0, 0, 0],
            [1, 2, 2, 1],
          ],
        ),
      ).toEqual([0, 0, 0, 0]);
      expect(await run((S) => activate(S, activation), [[0], [1, 1, 1, 1]])).toEqual([0]);
    });
  });

  describe('on a network', () => {
    const model = randomModel();
    const SIDE = 16;
    const image = [3, SIDE, SIDE];
    const images = randomArray(7, [3, ...image]);
    afterAll(() => model.release(device()));

    /** Explains `count` images from number `first` on. */
    async function explain<T>(
      options: ExplainOptions,
      look: (explanation: Explanation) => Promise<T>,
      [first, count] = [0, 1],
    ): Promise<T> {
      using scope = new Scope();
      const size = sizeOf(image);
      const values = images.subarray(first * size, (first + count) * size);
      using explanation = await explainTensor(model, tensor(device(), values, [count, ...image], { scope }), options);
      return await look(explanation);
    }

    /** Some steps as plain arrays, cut into `parts`. */
    const read =
      (names: readonly (keyof Steps)[], parts: number) =>
      async ({ steps }: Explanation): Promise<number[][][]> =>
        Promise.all(
          names.map(async (name) => {
            const data = Array.from((await steps[name]?.data()) ?? []);
            const size = data.length / parts;
            return Array.from({ length: parts }, (_, part) => data.slice(part * size, (part + 1) * size));
          }),
        );

    it('K classes at once are K separate runs', async () => {
      const steps = ['gradients', 'alpha', 'R', 'grad_cam'] as const;
      const classes = [3, 0, 7, 4];
      const together = await explain({ classes, layer: 'layer2' }, read(steps, classes.length));
      for (const [k, index] of classes.entries()) {
        const alone = await explain({ classes: [index], layer: 'layer2' }, read(steps, 1));
        for (const [i, step] of steps.entries()) {
          expectClose(at(at(together, i), k), at(at(alone, i), 0), TOLERANCE, `${step} of class ${index}`);
        }
      }
    });

    it('a batch of N images is N single runs', async () => {
      const steps = ['logits', 'activations', 'gradients', 'R', 'S', 'S_normalised', 'reference'] as const;
      const options = { topK: 3, layer: 'layer2', mode: 'reference' } as const;
      const look = async (explanation: Explanation) => ({
        top: explanation.classes.map((ofImage) => ofImage.map(({ index }) => index)),
        values: await read(steps, explanation.classes.length)(explanation),
      });
      const batch = await explain(options, look, [0, 3]);
      for (let n = 0; n < 3; n++) {
        const single = await explain(options, look, [n, 1]);
        expect(batch.top[n]).toEqual(single.top[0]);
        for (const [i, step] of steps.entries()) {
          expectClose(at(at(batch.values, i), n), at(at(single.values, i), 0), TOLERANCE, `${step} of image ${n}`);
        }
      }
    });

    it('the maps come in the order of the classes', async () => {
      const steps = ['alpha', 'R', 'S', 'S_normalised', 'fm_g_cam', 'grad_cam'] as const;
      const forwards = await explain({ classes: [1, 2, 8] }, read(steps, 3));
      const backwards = await explain({ classes: [8, 2, 1] }, read(steps, 3));
      for (const [i, step] of steps.entries()) {
        expectClose(at(backwards, i).flat(), at(forwards, i).toReversed().flat(), TOLERANCE, step);
      }
    });

    // The scores are linear in the pooled activations there, so three methods agree up to the number of pixels.
    it('at the layer before the pooling, Grad-CAM and HiResCAM are CAM', async () => {
      const classes = [5, 0, 9];
      const head = model.module.parameters().get('linear.weight')?.values ?? [];
      await explain({ classes, layer: 'layer3' }, async ({ steps }) => {
        const [, K = 0, C = 0, I = 0, J = 0] = steps.gradients.shape;
        const [a, gradients] = [await steps.activations.data(), await steps.gradients.data()];
        const pixels = I * J;
        const each = (value: (k: number, pixel: number, c: number) => number) =>
          Array.from({ length: K * pixels }, (_, i) => {
            let sum = 0;
            for (let c = 0; c < C; c++) sum += value(Math.floor(i / pixels), i % pixels, c);
            return sum;
          });
        const weight = (k: number, c: number) => at(head, at(classes, k) * C + c);
        const cam = each((k, p, c) => (weight(k, c) * at(a, c * pixels + p)) / pixels);
        const hiResCam = each((k, p, c) => at(gradients, (k * C + c) * pixels + p) * at(a, c * pixels + p));
        expectClose(hiResCam, cam, TOLERANCE, 'HiResCAM');
        expectClose(
          await steps.grad_cam.data(),
          cam.map((value) => Math.max(value, 0)),
          TOLERANCE,
          'Grad-CAM',
        );
        expect(cam.some((value) => value > 0)).toBe(true);
      });
    });
  });
});

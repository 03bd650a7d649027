import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../../../src/errors.ts';
import { add, full, mul, reshape, sum, tensor } from '../../../src/kernels/index.ts';
import { type Faithfulness, faithfulness, type MapOfClass } from '../../../src/metrics/faithfulness.ts';
import { fillOf } from '../../../src/metrics/fill.ts';
import type { ScoreFunction, ScoringOptions } from '../../../src/metrics/frames.ts';
import { type FILLS, type MetricSettings, metricSettings } from '../../../src/metrics/settings.ts';
import { tidy, withScope } from '../../../src/tensor/scope.ts';
import { at, type Shape, sizeOf } from '../../../src/tensor/shape.ts';
import { describeDevice } from '../../support/devices.ts';
import { expectClose } from '../../support/numbers.ts';

/* Models whose metrics are known in closed form. Values are multiples of 1/8, which float32 adds exactly. */

const EQUAL_STEPS = 'all steps are equally salient';
const SIDE = 4;
const CELLS = SIDE * SIDE;
const IMAGE = [1, 3, SIDE, SIDE];

const eighths = (length: number) =>
  fc.array(
    fc.integer({ min: -40, max: 40 }).map((n) => n / 8),
    { minLength: length, maxLength: length },
  );
const mapOf = (data: readonly number[], index = 0): MapOfClass => ({
  data: Float32Array.from(data),
  height: SIDE,
  width: SIDE,
  class: index,
});
const ramp = mapOf(Array.from({ length: CELLS }, (_, i) => i / 8));

/** Plain scores, without blur and softmax, one cell in each step. */
const PLAIN: Partial<MetricSettings> = { score: 'logit', insertionFill: 'zero' };

describeDevice('faithfulness', (device) => {
  afterEach(() => expect(device().memory().blocks, 'blocks left on the device').toBe(0));

  const constantModel =
    (value: number): ScoreFunction =>
    (batch) =>
      full(device(), [batch.shape[0] ?? 0, 1], value);

  /** The score is the sum of weight times value over all channels and pixels. */
  const linearModel = (weights: readonly number[], shape: Shape = IMAGE): ScoreFunction => {
    return (batch) =>
      tidy([batch], (x) => {
        const w = tensor(device(), weights, shape, x.scope ? { scope: x.scope } : {});
        return reshape(sum(mul(x, w), [1, 2, 3]), [-1, 1]);
      });
  };

  const measure = (
    score: ScoreFunction,
    image: readonly number[],
    maps: readonly MapOfClass[],
    changes: Partial<MetricSettings> = PLAIN,
    options: ScoringOptions = {},
    shape: Shape = IMAGE,
  ): Promise<Faithfulness[]> =>
    withScope((scope) =>
      faithfulness(
        score,
        tensor(device(), image, shape, { scope }),
        maps,
        metricSettings('gomez-2022', changes),
        options,
      ),
    );
  const measureOne = async (...args: Parameters<typeof measure>) => at(await measure(...args), 0);
  const ones = new Array(3 * CELLS).fill(1);

  describe('of a constant model', () => {
    it('areas are its score, correlations are undefined, nothing drops', async () => {
      const result = await measureOne(constantModel(0.625), ones, [ramp]);
      expect(result).toMatchObject({ iauc: 0.625, dauc: 0.625, ic: null, dc: null, ad: 0, iic: 0, add: 0 });
      expect(result.undefinedBecause).toEqual({ ic: 'the score does not change', dc: 'the score does not change' });
    });

    it('with softmax over its only class, the score is 1', async () => {
      expect(await measureOne(constantModel(7), ones, [ramp], {})).toMatchObject({ iauc: 1, dauc: 1 });
    });

    it('where the score is 0, relative drops are undefined', async () => {
      const result = await measureOne(constantModel(0), ones, [ramp]);
      expect(result).toMatchObject({ ad: null, add: null, iic: 0 });
      expect(result.undefinedBecause.ad).toBe('the score of the image is 0');
    });
  });

  describe('of a model that counts pixels', () => {
    const counting = () => linearModel(new Array(3 * CELLS).fill(1 / (3 * CELLS)));

    it.each([1, 3, 5, 16, 1000])('in %i steps, the curves are straight lines whatever the map says', async (steps) => {
      const result = await measureOne(counting(), ones, [ramp], { ...PLAIN, steps });
      const perStep = Math.max(1, Math.floor(CELLS / steps));
      const left = Array.from({ length: Math.ceil(CELLS / perStep) + 1 }, (_, s) =>
        Math.max(0, 1 - (s * perStep) / CELLS),
      );
      expectClose(result.curves.deletion, left, 1e-6, 'deletion');
      expectClose(
        result.curves.insertion,
        left.map((share) => 1 - share),
        1e-6,
        'insertion',
      );
      if (CELLS % perStep === 0) expect(result.dauc).toBeCloseTo(0.5, 6);
    });

    it('the image times the map keeps the mean of the map', async () => {
      const half = mapOf(Array.from({ length: CELLS }, (_, i) => (i < CELLS / 4 ? 1 : 0)));
      const result = await measureOne(counting(), ones, [half]);
      expect(result.ad).toBeCloseTo(0.75, 6);
      expect(result.add).toBeCloseTo(0.25, 6);
      expect(result.sparsity).toBe(4);
      expect(result.tied).toBe(CELLS);
    });

    it('one pixel of a map of 2 x 2 cells is a quarter of the image', async () => {
      const map: MapOfClass = { data: [0, 1, 2, 3], height: 2, width: 2, class: 0 };
      const { curves } = await measureOne(counting(), ones, [map]);
      expectClose(curves.deletion, [1, 0.75, 0.5, 0.25, 0], 1e-6);
    });
  });

  describe('of a linear model', () => {
    const weightsAndImage = fc.tuple(
      eighths(3 * CELLS),
      eighths(3 * CELLS),
      fc.shuffledSubarray([...Array(CELLS).keys()], { minLength: CELLS }),
    );
    /** What each pixel adds to the score. */
    const contributions = (weights: readonly number[], image: readonly number[]) =>
      Array.from({ length: CELLS }, (_, i) =>
        [0, 1, 2].reduce((sum, c) => sum + at(weights, c * CELLS + i) * at(image, c * CELLS + i), 0),
      );

    it('the map of its contributions: curves are partial sums, and both correlations are 1', async () => {
      await fc.assert(
        fc.asyncProperty(weightsAndImage, async ([weights, image]) => {
          const parts = contributions(weights, image);
          const result = await measureOne(linearModel(weights), image, [mapOf(parts)]);
          const inserted = [0];
          for (const part of parts.toSorted((a, b) => b - a)) inserted.push(at(inserted, inserted.length - 1) + part);
          const total = at(inserted, CELLS);
          expect(result.curves.insertion).toEqual(inserted);
          expect(result.curves.deletion).toEqual(inserted.map((score) => total - score));
          if (new Set(parts).size > 1) {
            expect(result.dc).toBeCloseTo(1, 6);
            expect(result.ic).toBeCloseTo(1, 6);
          }
        }),
        { numRuns: 10 },
      );
    });

    it('no order beats that of its contributions, and insertion mirrors deletion', async () => {
      await fc.assert(
        fc.asyncProperty(weightsAndImage, async ([weights, image, order]) => {
          const parts = contributions(weights, image);
          const [best, other] = await measure(linearModel(weights), image, [mapOf(parts), mapOf(order)]);
          const total = parts.reduce((sum, part) => sum + part, 0);
          expect(best?.dauc).toBeLessThanOrEqual((other?.dauc ?? 0) + 1e-9);
          expect(best?.iauc).toBeGreaterThanOrEqual((other?.iauc ?? 0) - 1e-9);
          expect(other?.iauc).toBeCloseTo(total - (other?.dauc ?? 0), 6);
          expect(other?.ic ?? 0).toBeCloseTo(other?.dc ?? 0, 9);
        }),
        { numRuns: 10 },
      );
    });

    it('neither the batch size, nor the company, nor a positive affine change of the map matters', async () => {
      await fc.assert(
        fc.asyncProperty(
          weightsAndImage,
          fc.integer({ min: 1, max: 40 }),
          async ([weights, image, order], batchSize) => {
            const map = mapOf(order);
            const scaled = mapOf(order.map((value) => 3 * value + 8));
            const model = linearModel(weights);
            const [alone] = await measure(model, image, [map]);
            const [first, second] = await measure(model, image, [map, scaled], PLAIN, { batchSize });
            expect(first).toEqual(alone);
            expect(second?.curves).toEqual(alone?.curves);
            expect(second?.dc ?? 0).toBeCloseTo(alone?.dc ?? 0, 9);
          },
        ),
        { numRuns: 10 },
      );
    });
  });

  it('scores every picture once, as many in a pass as the batch size allows', async () => {
    const batches: number[] = [];
    const counting: ScoreFunction = (batch) => {
      batches.push(batch.shape[0] ?? 0);
      return constantModel(1)(batch);
    };
    // Agrees with the ramp about the set of cells after every step but the first.
    const other = mapOf(Array.from({ length: CELLS }, (_, i) => (i === CELLS - 2 ? 100 : i)));
    await measure(counting, ones, [ramp, other, ramp], { ...PLAIN, insertionFill: 'box-blur' }, { batchSize: 10 });
    // The image, two fills, for each map two maskings, 2 x 15 steps, and 2 that only the other map has.
    const pictures = 1 + 2 + 3 * 2 + 2 * (CELLS - 1) + 2;
    expect(batches).toEqual([...new Array(Math.floor(pictures / 10)).fill(10), pictures % 10]);
  });

  describe('choices', () => {
    /** Class 0 wins where the picture is brighter than 0.5 on average, else class 1. */
    const twoClasses: ScoreFunction = (batch) =>
      tidy([batch], (x) => {
        const [N = 1] = x.shape;
        const w = tensor(device(), [1, 0], [1, 2], x.scope ? { scope: x.scope } : {});
        const bias = tensor(device(), [0, 0.5], [1, 2], x.scope ? { scope: x.scope } : {});
        const brightness = mul(sum(x, [1, 2, 3]), full(device(), [], 1 / (3 * CELLS), x.scope));
        return add(mul(reshape(brightness, [N, 1]), w), bias);
      });

    it('the class is the given one, the top one of the image, or the top one of the start', async () => {
      const classes = async (classSource: MetricSettings['classSource']) =>
        (await measureOne(twoClasses, ones, [{ ...ramp, class: 1 }], { ...PLAIN, classSource })).classes;
      expect(await classes('given')).toEqual({ deletion: 1, insertion: 1 });
      expect(await classes('image')).toEqual({ deletion: 0, insertion: 0 });
      expect(await classes('start')).toEqual({ deletion: 0, insertion: 1 });
    });

    it('the tie rule orders equal cells', async () => {
      const weights = Array.from({ length: 3 * CELLS }, (_, i) => i % CELLS);
      const flat = mapOf(new Array(CELLS).fill(0));
      const first = await measureOne(linearModel(weights), ones, [flat], { ...PLAIN, ties: 'first' });
      const last = await measureOne(linearModel(weights), ones, [flat], { ...PLAIN, ties: 'last' });
      expect(first.curves.insertion.slice(0, 3)).toEqual([0, 0, 3]);
      expect(last.curves.insertion.slice(0, 3)).toEqual([0, 45, 87]);
      expect(first.undefinedBecause).toEqual({
        ic: EQUAL_STEPS,
        dc: EQUAL_STEPS,
        sparsity: 'the map is constant',
      });
    });
    it('pixels are ranked after bilinear upsampling', async () => {
      const map: MapOfClass = { data: [0, 1], height: 1, width: 2, class: 0 };
      const columns = Array.from({ length: 3 * CELLS }, (_, i) => 10 ** (i % SIDE));
      const native = await measureOne(linearModel(columns), ones, [map], PLAIN);
      expect(native.curves.insertion).toEqual([0, 12 * 1100, 12 * 1111]);
      // 0, 1/4, 3/4, 1 in each row: column by column from the right.
      const pixels = await measureOne(linearModel(columns), ones, [map], { ...PLAIN, ranking: 'pixels', steps: 4 });
      expect(pixels.curves.insertion).toEqual([0, 12 * 1000, 12 * 1100, 12 * 1110, 12 * 1111]);
    });

    it('NaN is refused, or ranks first and leaves undefined what needs it', async () => {
      const map = mapOf(Array.from({ length: CELLS }, (_, i) => (i === 5 ? Number.NaN : 0)));
      await expect(measure(constantModel(1), ones, [map])).rejects.toThrow(
        new InputError('the map has the value NaN; metrics want finite ones, or the NaN policy "tie"'),
      );
      const weights = Array.from({ length: 3 * CELLS }, (_, i) => (i % CELLS === 5 ? 1 : 0));
      const result = await measureOne(linearModel(weights), ones, [map], { ...PLAIN, nan: 'tie' });
      expect(result.curves.insertion).toEqual([0, ...new Array(CELLS).fill(3)]);
      expect(result).toMatchObject({ ic: null, dc: null, ad: null, iic: null, add: null, sparsity: null });
      expect(new Set(Object.values(result.undefinedBecause))).toEqual(new Set(['the map has NaN']));
    });
  });

  describe('fills', () => {
    const shape = [1, 2, 12, 7];
    const values = Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i));
    const fill = (name: (typeof FILLS)[number]) =>
      withScope(async (scope) => fillOf(tensor(device(), values, shape, { scope }), name).data());

    /** Zero-padded correlation with a square kernel, directly. */
    const blurred = (kernel: readonly number[]) => {
      const [, , H = 0, W = 0] = shape;
      const reach = (kernel.length - 1) / 2;
      return values.map((_, i) => {
        const [plane, y, x] = [Math.floor(i / (H * W)), Math.floor(i / W) % H, i % W];
        let sum = 0;
        for (let dy = -reach; dy <= reach; dy++) {
          for (let dx = -reach; dx <= reach; dx++) {
            const [row, column] = [y + dy, x + dx];
            if (row < 0 || row >= H || column < 0 || column >= W) continue;
            sum += at(kernel, dy + reach) * at(kernel, dx + reach) * at(values, (plane * H + row) * W + column);
          }
        }
        return sum;
      });
    };

    it('zero', async () => expect(new Set(await fill('zero'))).toEqual(new Set([0])));

    it('mean', async () => {
      const means = [0, 1].map((c) => values.slice(84 * c, 84 * (c + 1)).reduce((sum, value) => sum + value, 0) / 84);
      expectClose(
        await fill('mean'),
        values.map((_, i) => at(means, Math.floor(i / 84))),
        1e-4,
      );
    });

    it('box-blur', async () => expectClose(await fill('box-blur'), blurred(new Array(9).fill(1 / 9)), 1e-4));

    it('gaussian-blur', async () => {
      // scipy.ndimage.gaussian_filter1d of a 1 in the middle of 11, sigma 5: mirrored copies of the tails add up.
      const weight = (distance: number) => (Math.abs(distance) > 20 ? 0 : Math.exp(-(distance ** 2) / 50));
      const copies = [-17, -6, 5, 16, 27];
      const raw = Array.from({ length: 11 }, (_, i) => copies.reduce((sum, copy) => sum + weight(i - copy), 0));
      const total = raw.reduce((sum, value) => sum + value, 0);
      expectClose(await fill('gaussian-blur'), blurred(raw.map((value) => value / total)), 1e-4);
    });
  });

  describe('refuses', () => {
    const small: MapOfClass = { data: [0, 1], height: 1, width: 2, class: 0 };
    const cases: [string, Error, Partial<MapOfClass>, Partial<MetricSettings>][] = [
      [
        'a map without a class',
        new UsageError('class source "given" needs a class with each map; name it, or take "image"'),
        {},
        {},
      ],
      ['a class out of range', new UsageError('class 1 is out of range: the model has 1 classes'), { class: 1 }, {}],
      ['a map of another size', new UsageError('a map of 2 values does not have the shape [2, 2]'), { height: 2 }, {}],
      [
        'an infinite map',
        new InputError('the map has the value Infinity; metrics want finite ones'),
        { data: [0, Infinity] },
        {},
      ],
      [
        'half a step',
        new UsageError('metric setting steps is 0.5; use a whole number of 1 or more'),
        {},
        { steps: 0.5 },
      ],
    ];
    it.each(cases)('%s', async (name, error, map, changes) => {
      const { class: _, ...unnamed } = small;
      const base = name === 'a map without a class' ? unnamed : small;
      const run = async () => measure(constantModel(1), ones, [{ ...base, ...map }], { ...PLAIN, ...changes });
      await expect(run()).rejects.toThrow(error);
    });

    it('a map larger than the image, a batch of images, scores that are no table, scores that are not finite', async () => {
      const large: MapOfClass = { data: new Float32Array(8), height: 1, width: 8, class: 0 };
      await expect(measure(constantModel(1), ones, [large])).rejects.toThrow(
        'a map of [1, 8] is larger than the image, 4 x 4',
      );
      await expect(measure(constantModel(1), [...ones, ...ones], [small], PLAIN, {}, [2, 3, 4, 4])).rejects.toThrow(
        'the image must be [1,C,H,W], not [2, 3, 4, 4]; measure images one by one',
      );
      await expect(measure((batch) => sum(batch, [1, 2, 3]), ones, [small])).rejects.toThrow(
        /must be \[\d+, classes\]/,
      );
      await expect(measure(constantModel(Number.NaN), ones, [small])).rejects.toThrow(
        'the scores of the image are not finite',
      );
    });

    it('a batch size of 0', async () => {
      await expect(measure(constantModel(1), ones, [small], PLAIN, { batchSize: 0 })).rejects.toThrow(
        'batchSize is 0; use a whole number of 1 or more',
      );
    });
  });

  it('stops when it is told to, before the next forward pass, and leaves nothing behind', async () => {
    const controller = new AbortController();
    let passes = 0;
    const score: ScoreFunction = (batch) => {
      passes += 1;
      if (passes === 2) controller.abort(new Error('enough'));
      return constantModel(1)(batch);
    };
    const run = measure(score, ones, [ramp], PLAIN, { batchSize: 4, signal: controller.signal });
    await expect(run).rejects.toThrow('enough');
    expect(passes).toBe(2);
  });
});

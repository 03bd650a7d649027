import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { squash } from '../../src/image/preprocess.ts';
import { bootstrapInterval, permutationTest } from '../../src/metrics/evaluation/inference.ts';
import { type EvaluationSettings, protocolChoices } from '../../src/metrics/evaluation/protocol.ts';
import {
  firstDifference,
  type Measurements,
  type RankRecord,
  type ResultRecord,
} from '../../src/metrics/evaluation/records.ts';
import { formatSummary, Summariser } from '../../src/metrics/evaluation/summary.ts';
import { FAITHFULNESS } from '../../src/metrics/faithfulness.ts';
import { random32 } from '../../src/random.ts';

describe('permutationTest', () => {
  it('of n equal differences is 2 / 2^n', () => {
    for (const n of [1, 2, 5, 13]) expect(permutationTest(new Array(n).fill(0.3), 1)).toBe(2 / 2 ** n);
  });

  it('of a textbook example by hand: 1, 2, 3, -1 has 4 + 4 of 16 sign patterns at or beyond 5', () => {
    // |sum| >= 5 of +-1 +-2 +-3 +-1: 7 once, 5 three times (one of the ones or the other... and the sum 5), and mirrored.
    const sums = Array.from({ length: 16 }, (_, bits) =>
      [1, 2, 3, -1].reduce((sum, value, i) => sum + ((bits >> i) & 1 ? -value : value), 0),
    );
    expect(permutationTest([1, 2, 3, -1], 1)).toBe(sums.filter((sum) => Math.abs(sum) >= 5).length / 16);
  });

  it('is 1 without a difference, and null without pairs', () => {
    expect(permutationTest([1, -1], 1)).toBe(1);
    expect(permutationTest(new Array(40).fill(0), 1)).toBe(1);
    expect(permutationTest([], 1)).toBeNull();
  });

  it('with many pairs it agrees with the normal approximation', () => {
    const random = random32(7);
    const values = Array.from({ length: 400 }, () => random() / 2 ** 32 - 0.47);
    const sum = values.reduce((a, b) => a + b, 0);
    const z = Math.abs(sum) / Math.sqrt(values.reduce((a, b) => a + b * b, 0));
    // 2 (1 - Phi(z)) by Abramowitz and Stegun 26.2.17, error below 1e-7.
    const t = 1 / (1 + 0.2316419 * z);
    const tail =
      (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) *
      t *
      (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    expect(permutationTest(values, 3)).toBeCloseTo(2 * tail, 1);
  });
});

describe('bootstrapInterval', () => {
  it('of a constant is the constant; of fewer than two values there is none', () => {
    expect(bootstrapInterval([2, 2, 2], 1)).toEqual({ low: 2, high: 2 });
    expect(bootstrapInterval([2], 1)).toBeNull();
  });

  it('with many values is the mean plus or minus 1.96 standard errors', () => {
    const random = random32(11);
    const values = Array.from({ length: 1000 }, () => random() / 2 ** 32);
    const mean = values.reduce((a, b) => a + b, 0) / 1000;
    const error = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / 999 / 1000);
    const interval = bootstrapInterval(values, 5);
    expect(Math.abs((interval?.low ?? 0) - (mean - 1.96 * error))).toBeLessThan(0.2 * error);
    expect(Math.abs((interval?.high ?? 0) - (mean + 1.96 * error))).toBeLessThan(0.2 * error);
  });

  it('is the same for the same seed, and moves with the values', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 9 }), (values) => {
        const here = bootstrapInterval(values, 1);
        expect(bootstrapInterval(values, 1)).toEqual(here);
        const moved = bootstrapInterval(
          values.map((value) => value + 4),
          1,
        );
        expect(moved?.low).toBeCloseTo((here?.low ?? 0) + 4, 9);
      }),
      { numRuns: 20 },
    );
  });
});

const settings = (samples: EvaluationSettings['samples']): EvaluationSettings => ({
  protocol: 'described',
  model: 'resnet20-cifar10',
  weights: 'ab',
  layer: 'layer3',
  methods: ['fm-g-cam', 'grad-cam'],
  topK: 1,
  squashFirst: null,
  preprocessing: squash(32),
  ...protocolChoices('described'),
  samples,
  iouThreshold: 0.2,
});

function record(image: string, method: string, ic: number | null, iauc = 0.5): ResultRecord {
  const nothing = Object.fromEntries(FAITHFULNESS.map((name) => [name, 0])) as Measurements;
  const curve = new Array(21).fill(0.25);
  const rank: RankRecord = {
    index: 3,
    class: 'cat',
    probability: 0.9,
    scored: 3,
    ...nothing,
    ic,
    iauc,
    tied: 0,
    deletion: curve,
    insertion: curve,
    map: null,
  };
  return { image, method, ranks: [rank] };
}

describe('Summariser', () => {
  const records = [
    record('a', 'fm-g-cam', 0.5),
    record('a', 'grad-cam', 0.25),
    record('b', 'grad-cam', null),
    record('b', 'fm-g-cam', 1),
    record('c', 'fm-g-cam', -0.5),
    record('c', 'grad-cam', 0.5),
  ];
  const summarise = (samples: EvaluationSettings['samples'], list: readonly ResultRecord[] = records) => {
    const summariser = new Summariser(settings(samples));
    for (const each of list) summariser.add(each);
    summariser.add({ image: 'd', error: 'd: the file is empty' });
    return summariser.summary();
  };

  it('paired: an image without a value for one method is left out for all', () => {
    const { rows, images, failed } = summarise('paired');
    expect([images, failed]).toEqual([3, 1]);
    expect(rows.map(({ means }) => means.ic)).toEqual([
      { count: 2, mean: 0 },
      { count: 2, mean: 0.375 },
    ]);
    expect(rows.map(({ means }) => means.iauc.count)).toEqual([3, 3]);
  });

  it('each: it is left out where it is missing', () => {
    expect(summarise('each').rows.map(({ means }) => means.ic)).toEqual([
      { count: 3, mean: 1 / 3 },
      { count: 2, mean: 0.375 },
    ]);
  });

  it('differences are always of pairs', () => {
    for (const samples of ['each', 'paired'] as const) {
      const ic = summarise(samples).differences.find(({ metric }) => metric === 'ic');
      // 0.25 and -1: both sign patterns with the larger |sum|, and both with the smaller one.
      expect(ic).toMatchObject({ method: 'fm-g-cam', minus: 'grad-cam', rank: 1, pairs: 2, mean: -0.375, p: 1 });
    }
  });

  it('the order of the images does not matter', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(records, { minLength: records.length }), (shuffled) => {
        expect(summarise('paired', shuffled)).toEqual(summarise('paired'));
      }),
      { numRuns: 20 },
    );
  });

  it("prints the paper's table", () => {
    const text = formatSummary(summarise('paired')).split('\n');
    expect(text[0]).toBe('protocol described: resnet20-cifar10 at layer3, 3 images, 1 more failed');
    expect(text[2]).toMatch(/^CAM type +class rank +mean IAUC +n +mean IC +n +mean DAUC +n +mean DC +n$/);
    expect(text[3]).toMatch(/^fm-g-cam +1 +0.500000 +3 +0.000000 +2 +0.000000 +3 +0.000000 +3$/);
    expect(text[4]).toMatch(/^grad-cam +1 +0.500000 +3 +0.375000 +2 /);
  });

  it('without a single image there are no means', () => {
    const summariser = new Summariser(settings('each'));
    const { rows, differences } = summariser.summary();
    expect(rows[0]?.means.ic).toEqual({ count: 0, mean: null });
    expect(differences[0]).toMatchObject({ pairs: 0, mean: null, interval: null, p: null });
    expect(formatSummary(summariser.summary())).not.toContain('NaN');
  });
});

describe('firstDifference', () => {
  it('names the setting', () => {
    const here = settings('paired');
    expect(firstDifference(here, settings('paired'))).toBeUndefined();
    expect(firstDifference(here, settings('each'))).toBe('samples: "paired", not "each"');
    const other = { ...here, metrics: { ...here.metrics, steps: 49 } };
    expect(firstDifference(here, other)).toBe('metrics.steps: 196, not 49');
    expect(firstDifference(here, { ...here, squashFirst: { size: 32, filter: 'bicubic' } })).toMatch(
      /^squashFirst: null, not/,
    );
  });
});

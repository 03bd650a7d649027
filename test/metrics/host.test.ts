import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rank } from '../../src/metrics/ranking.ts';
import { minMax, sparsity } from '../../src/metrics/saliency-map.ts';
import { METRIC_PRESETS, metricSettings } from '../../src/metrics/settings.ts';
import { areaUnderCurve, correlation } from '../../src/metrics/statistics.ts';

const row = (data: readonly number[]) => ({ data, height: 1, width: data.length });
const numbers = fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 2, maxLength: 30 });

describe('areaUnderCurve', () => {
  it('is exact for straight lines', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), fc.integer({ min: 2, max: 40 }), (a, b, points) => {
        const line = Array.from({ length: points }, (_, i) => a + (b * i) / (points - 1));
        expect(areaUnderCurve(line)).toBeCloseTo(a + b / 2, 3);
      }),
    );
  });

  it('counts the ends by half', () => expect(areaUnderCurve([1, 0, 0, 1])).toBeCloseTo(1 / 3, 12));
});

describe('correlation', () => {
  it('of a value with an affine function of itself is its sign', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: -9, max: 9 }), (values, slope) => {
        const r = correlation(
          values,
          values.map((value) => slope * value + 3),
        );
        if (slope === 0 || new Set(values).size === 1) expect(r).toBeNull();
        else expect(r).toBeCloseTo(Math.sign(slope), 12);
      }),
    );
  });

  it('of the textbook', () => expect(correlation([1, 2, 3, 4], [1, 3, 2, 4])).toBeCloseTo(0.8, 12));

  it('is undefined with a constant, whatever rounding says, and with NaN', () => {
    expect(correlation([0.1, 0.1, 0.1], [1, 2, 3])).toBeNull();
    expect(correlation([1, 2, Number.NaN], [1, 2, 3])).toBeNull();
  });
});

describe('rank', () => {
  it('takes every cell once, larger values never later, in equal steps but for the last', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 40 }), (values, steps) => {
        const { stepOf, steps: count, tied } = rank(row(values), steps, 'first');
        const perStep = Math.max(1, Math.floor(values.length / steps));
        expect(count).toBe(Math.ceil(values.length / perStep));
        for (let step = 1; step < count; step++) expect(stepOf.filter((taken) => taken === step).length).toBe(perStep);
        for (const [i, a] of values.entries())
          for (const [j, b] of values.entries()) if (a > b) expect(stepOf[i]).toBeLessThanOrEqual(stepOf[j] ?? 0);
        expect(tied).toBe(values.filter((value) => values.indexOf(value) !== values.lastIndexOf(value)).length);
      }),
    );
  });

  it.each([35, 50, 100])('%i x %i cells, for which the library fails, are all taken', (side) => {
    const cells = side * side;
    const { stepOf, steps } = rank(
      { data: Float32Array.from({ length: cells }, (_, i) => i), height: side, width: side },
      196,
      'first',
    );
    expect(stepOf[cells - 1]).toBe(1);
    expect(stepOf[0]).toBe(steps);
    expect(steps).toBe(Math.ceil(cells / Math.floor(cells / 196)));
  });

  it('the saliency of a step is the mean of its cells', () => {
    expect([...rank(row([1, 5, 3, 2, 9]), 2, 'first').saliency]).toEqual([7, 2.5, 1]);
  });
});

describe('sparsity', () => {
  it('is the number of cells for a single spot, and 1 when all but one are at the maximum of many', () => {
    expect(sparsity(row([0, 0, 0, 7]))).toBe(4);
    expect(sparsity(row([0, 1, 1, 1, 1]))).toBe(1.25);
    expect(sparsity(row([3, 3, 3]))).toBeNull();
    expect(sparsity(row([3, Number.NaN]))).toBeNull();
  });

  it('does not change with scale and shift', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const here = sparsity(row(values));
        const there = sparsity(row(values.map((value) => 2 * value + 5)));
        if (here === null) expect(there).toBeNull();
        else expect(there).toBeCloseTo(here, 9);
      }),
    );
  });
});

describe('minMax', () => {
  it('stretches to [0,1] and leaves a constant map alone', () => {
    expect([...minMax(row([2, 4, 6]))]).toEqual([0, 0.5, 1]);
    expect([...minMax(row([3, 3]))]).toEqual([3, 3]);
  });
});

describe('metricSettings', () => {
  it('is a preset with changes', () => {
    expect(metricSettings('rise')).toEqual(METRIC_PRESETS.rise);
    expect(metricSettings('rise', { steps: 7 })).toEqual({ ...METRIC_PRESETS.rise, steps: 7 });
  });

  it('refuses what it does not know', () => {
    expect(() => metricSettings('gomez' as 'rise')).toThrow('metric preset "gomez" is unknown; use gomez-2022 or rise');
    expect(() => metricSettings('rise', { ties: 'random' as 'first' })).toThrow(
      'metric setting ties "random" is unknown; use first, last',
    );
    expect(() => metricSettings('rise', { seed: 1 } as object)).toThrow(
      'metric setting "seed" is unknown; use deletionFill',
    );
    expect(() => metricSettings('rise', { steps: 0 })).toThrow(
      'metric setting steps is 0; use a whole number of 1 or more',
    );
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { localisation } from '../../src/metrics/localisation.ts';

/** 4 x 4, the object in the left half. */
const LEFT = { height: 4, width: 4, data: Array.from({ length: 16 }, (_, i) => i % 4 < 2) };
const map = (data: readonly number[]) => ({ data, height: 4, width: 4 });
const spot = (cell: number, value = 1) => map(Array.from({ length: 16 }, (_, i) => (i === cell ? value : 0)));

describe('localisation', () => {
  it('a map that is the mask finds it all', () => {
    const perfect = map(LEFT.data.map(Number));
    expect(localisation(perfect, LEFT)).toEqual({ pointing: 1, energy: 1, iou: 1, threshold: 0.2 });
  });

  it('a map of the other half finds nothing', () => {
    const wrong = map(LEFT.data.map((inside) => Number(!inside)));
    expect(localisation(wrong, LEFT)).toEqual({ pointing: 0, energy: 0, iou: 0, threshold: 0.2 });
  });

  it('a spot inside points at the object but covers little of it', () => {
    expect(localisation(spot(4), LEFT)).toEqual({ pointing: 1, energy: 1, iou: 1 / 8, threshold: 0.2 });
    expect(localisation(spot(7), LEFT)).toMatchObject({ pointing: 0, energy: 0, iou: 0 });
  });

  it('the threshold is a share of the maximum, and belongs to the marked pixels', () => {
    const values = map(Array.from({ length: 16 }, (_, i) => (i % 4) + 1));
    // Columns of 1, 2, 3, 4: the object has the first two.
    expect(localisation(values, LEFT, { threshold: 0.25 })).toMatchObject({ pointing: 0, energy: 0.3, iou: 8 / 16 });
    expect(localisation(values, LEFT, { threshold: 0.5 }).iou).toBe(4 / 16);
    expect(localisation(values, LEFT, { threshold: 1 }).iou).toBe(0);
  });

  it('negative values carry no energy; a map without a positive one finds nothing that could be scored', () => {
    const signed = map(LEFT.data.map((inside) => (inside ? 1 : -5)));
    expect(localisation(signed, LEFT).energy).toBe(1);
    expect(localisation(map(new Array(16).fill(-1)), LEFT)).toMatchObject({ pointing: null, energy: null, iou: null });
  });

  it('a coarse map is compared at the size of the mask', () => {
    const coarse = { data: [1, 0], height: 1, width: 2 };
    // Upsampled: 1, 3/4, 1/4, 0 in each row.
    expect(localisation(coarse, LEFT, { threshold: 0.5 })).toMatchObject({ pointing: 1, energy: 1.75 / 2, iou: 1 });
  });

  it('everything lies in [0,1], and scaling the map changes nothing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 16, maxLength: 16 }),
        fc.array(fc.boolean(), { minLength: 16, maxLength: 16 }).filter((mask) => mask.includes(true)),
        (values, data) => {
          const mask = { height: 4, width: 4, data };
          const found = localisation(map(values), mask);
          expect(localisation(map(values.map((value) => 4 * value)), mask)).toEqual(found);
          for (const value of [found.pointing, found.energy, found.iou]) {
            if (value !== null) expect(value).toSatisfy((v: number) => v >= 0 && v <= 1);
          }
        },
      ),
    );
  });

  it('refuses what does not fit', () => {
    expect(() => localisation(spot(0), { ...LEFT, height: 3 })).toThrow(
      'a mask of 16 values does not have the shape [3, 4]',
    );
    expect(() => localisation(spot(0), { ...LEFT, data: new Array(16).fill(0) })).toThrow(
      'the mask has no pixel inside',
    );
    expect(() => localisation(spot(0, Number.NaN), LEFT)).toThrow('the map has the value NaN');
    for (const threshold of [0, -1, 1.01, Number.NaN])
      expect(() => localisation(spot(0), LEFT, { threshold })).toThrow(
        `threshold is ${threshold}; use more than 0, at most 1`,
      );
  });
});

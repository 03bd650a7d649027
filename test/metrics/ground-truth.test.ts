import { describe, expect, it } from 'vitest';
import { locate } from '../../src/metrics/evaluation/ground-truth.ts';

describe('locate', () => {
  const map = { data: [0, 0, 1, 3], height: 2, width: 2 };
  const bottom = { data: [0, 0, 1, 1], height: 2, width: 2 };

  it('is the localisation of a map that has values', () => {
    expect(locate(map, bottom, 0.5)).toEqual({ pointing: 1, energy: 1, iou: 0.5, undefinedBecause: {} });
  });

  it.each([
    ['the map has NaN', { ...map, data: [0, Number.NaN, 1, 3] }, bottom],
    ['the map has no positive value', { ...map, data: [0, 0, 0, 0] }, bottom],
    ['the object is outside of what the network saw', map, { ...bottom, data: [0, 0, 0, 0] }],
  ])('is not defined where %s', (reason, saliency, mask) => {
    expect(locate(saliency, mask, 0.5)).toEqual({
      pointing: null,
      energy: null,
      iou: null,
      undefinedBecause: { pointing: reason, energy: reason, iou: reason },
    });
  });
});

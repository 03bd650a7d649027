import { describe, expect, it } from 'vitest';
import { solve, type Views } from '../../src/cam/super-resolution/solve.ts';
import { addTransposed, apply, blockMeans, type Motion, motionMatrix } from '../../src/cam/super-resolution/warp.ts';
import { at } from '../../src/tensor/shape.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, uniform } from '../support/random-model.ts';

const SIDE = 8;
const image = randomArray(1, [SIDE, SIDE]);
const STILL: Motion = { angle: 0, right: 0, down: 0 };
const moved = (motion: Partial<Motion>) => Array.from(apply(motionMatrix(SIDE, SIDE, { ...STILL, ...motion }), image));
/** The image whose pixel (y,x) comes from another place, or is 0 where that is outside. */
const from = (place: (y: number, x: number) => readonly [number, number]) =>
  Array.from(image, (_, i) => {
    const [y, x] = place(Math.floor(i / SIDE), i % SIDE);
    return y >= 0 && y < SIDE && x >= 0 && x < SIDE ? at(image, y * SIDE + x) : 0;
  });

describe('a motion', () => {
  it('that stands still changes nothing', () => expect(moved({})).toEqual(Array.from(image)));

  it('by whole pixels moves them, with zeros behind', () => {
    const expected = from((y, x) => [y + 1, x - 2]);
    expect(moved({ right: 2 / SIDE, down: -1 / SIDE })).toEqual(expected);
  });

  it('by half a pixel takes means', () => {
    const left = from((y, x) => [y, x - 1]);
    expectClose(
      moved({ right: 0.5 / SIDE }),
      left.map((value, i) => (value + at(image, i)) / 2),
      1e-6,
    );
  });

  it('by a right angle turns the image', () => {
    const turned = moved({ angle: Math.PI / 2 });
    expectClose(
      turned,
      from((y, x) => [SIDE - 1 - x, y]),
      1e-6,
    );
    expectClose(
      moved({ angle: -Math.PI / 2 }),
      from((y, x) => [x, SIDE - 1 - y]),
      1e-6,
    );
  });

  it('followed by block means averages what it brings there', () => {
    const motion = { angle: 0.3, right: 0.1, down: -0.05 };
    const fine = apply(motionMatrix(SIDE, SIDE, motion), image);
    const means = Array.from({ length: 4 }, (_, block) => {
      const pixels = Array.from(fine).filter(
        (_, i) => 2 * Math.floor(i / SIDE / 4) + Math.floor((i % SIDE) / 4) === block,
      );
      return pixels.reduce((sum, value) => sum + value, 0) / pixels.length;
    });
    expectClose(apply(blockMeans(motionMatrix(SIDE, SIDE, motion), SIDE, SIDE, 4), image), means, 1e-6);
  });

  it('and its transpose are adjoint', () => {
    const matrix = blockMeans(motionMatrix(SIDE, SIDE, { angle: 0.4, right: 0.2, down: 0.1 }), SIDE, SIDE, 2);
    const y = randomArray(2, [16]);
    const back = new Float64Array(SIDE * SIDE);
    addTransposed(matrix, y, back);
    const inner = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a, (value, i) => value * at(b, i)).reduce((sum, value) => sum + value, 0);
    expect(inner(apply(matrix, image), y)).toBeCloseTo(inner(image, back), 6);
  });
});

describe('the map behind several views', () => {
  const NOTHING = { smoothness: 0, damping: 0 };

  it('is the view, if that is all of it', () => {
    const views: Views = { height: SIDE, width: SIDE, matrices: [motionMatrix(SIDE, SIDE, STILL)], observed: [image] };
    expectClose(solve(views, NOTHING).next().value, image, 1e-6);
    // Damping: (1 + damping) h = g.
    const descent = solve(views, { ...NOTHING, damping: 1 });
    let h = descent.next().value;
    for (let step = 0; step < 50; step++) h = descent.next().value;
    expectClose(
      h,
      image.map((value) => value / 2),
      1e-6,
    );
  });

  it('is finer than one view: it comes near a shape that no pixel of the views resolves', () => {
    // A disc on 16 x 16 pixels, of which views have 4 x 4.
    const [side, factor] = [16, 4];
    const disc = Float32Array.from({ length: side * side }, (_, i) =>
      Math.hypot(Math.floor(i / side) - 8, (i % side) - 6) < 4 ? 1 : 0,
    );
    const random = uniform(5);
    const motions = Array.from({ length: 24 }, () => ({
      angle: random() / 4,
      right: random() / 8,
      down: random() / 8,
    }));
    const views = (motions: readonly Motion[]): Views => {
      const matrices = motions.map((motion) => blockMeans(motionMatrix(side, side, motion), side, side, factor));
      return { height: side, width: side, matrices, observed: matrices.map((matrix) => apply(matrix, disc)) };
    };
    const error = (motions: readonly Motion[]) => {
      const descent = solve(views(motions), { smoothness: 0.01, damping: 0.001 });
      let h = descent.next().value;
      for (let step = 0; step < 400; step++) h = descent.next().value;
      return Math.hypot(...h.map((value, i) => value - at(disc, i))) / Math.hypot(...disc);
    };
    expect(error(motions)).toBeLessThan(0.6 * error([STILL]));
  });

  it('never gets worse: the sum that it minimises does not grow', () => {
    const [smoothness, damping] = [0.05, 0.01];
    const matrices = [STILL, { angle: 0.2, right: 0.1, down: 0 }].map((motion) =>
      blockMeans(motionMatrix(SIDE, SIDE, motion), SIDE, SIDE, 2),
    );
    const observed = matrices.map((matrix) => apply(matrix, image));
    const scale = Math.max(...observed.flatMap((view) => Array.from(view, Math.abs)));
    const descent = solve({ height: SIDE, width: SIDE, matrices, observed }, { smoothness, damping });
    let before = Number.POSITIVE_INFINITY;
    for (let step = 0; step < 30; step++) {
      const h = descent.next().value.map((value) => value / scale);
      let value = 0;
      for (const [i, matrix] of matrices.entries()) {
        value += apply(matrix, h).reduce((sum, own, row) => sum + (own - at(at(observed, i), row) / scale) ** 2, 0) / 2;
      }
      for (const [i, own] of h.entries()) {
        const dx = (i + 1) % SIDE === 0 ? 0 : at(h, i + 1) - own;
        const dy = i + SIDE >= h.length ? 0 : at(h, i + SIDE) - own;
        value += smoothness * Math.hypot(dx, dy, 0.01) + (damping / 2) * own ** 2;
      }
      expect(value).toBeLessThanOrEqual(before);
      before = value;
    }
  });

  it('of nothing is nothing', () => {
    const views = { height: 2, width: 2, matrices: [motionMatrix(2, 2, STILL)], observed: [[0, 0, 0, 0]] };
    expect(Array.from(solve(views, { smoothness: 0.1, damping: 0.1 }).next().value, Math.abs)).toEqual([0, 0, 0, 0]);
  });
});

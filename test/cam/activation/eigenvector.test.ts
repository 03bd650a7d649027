import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dominantEigenvector } from '../../../src/cam/activation/eigenvector.ts';
import { at } from '../../../src/tensor/shape.ts';

/** The matrix with these eigenvalues that a reflection I - 2 u u^T turns: its eigenvectors are the columns of that. */
function reflected(eigenvalues: readonly number[], direction: readonly number[]) {
  const length = Math.hypot(...direction);
  const u = direction.map((value) => value / length);
  const H = u.map((a, i) => u.map((b, j) => (i === j ? 1 : 0) - 2 * a * b));
  const entry = (i: number, j: number) =>
    eigenvalues.reduce((sum, value, k) => sum + value * at(at(H, i), k) * at(at(H, k), j), 0);
  return { matrix: u.flatMap((_, i) => u.map((__, j) => entry(i, j))), H };
}

const values = (size: number) =>
  fc.array(fc.double({ min: 0.1, max: 1, noNaN: true }), { minLength: size, maxLength: size });

describe('the dominant eigenvector', () => {
  it('is found however many others there are, and however close', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }).chain((size) => fc.tuple(values(size), values(size), fc.nat(size - 1))),
        fc.constantFrom(1.02, 1.5, 10),
        ([eigenvalues, direction, position], largest) => {
          const { matrix, H } = reflected(eigenvalues.with(position, largest), direction);
          const { vector, value } = dominantEigenvector(matrix, direction.length);
          expect(value).toBeCloseTo(largest, 9);
          const agreement = vector.reduce((sum, x, i) => sum + x * at(at(H, i), position), 0);
          expect(Math.abs(agreement)).toBeCloseTo(1, 9);
        },
      ),
    );
  });

  it('of equal eigenvalues is one of their vectors', () => {
    const { vector, value } = dominantEigenvector([2, 0, 0, 0, 2, 0, 0, 0, 1], 3);
    expect(value).toBeCloseTo(2, 12);
    expect(Math.hypot(at(vector, 0), at(vector, 1))).toBeCloseTo(1, 12);
  });

  it('is not that of the largest diagonal element', () => {
    // One channel of variance 1 by itself, and three of 0.5 that go together, which makes 1.5.
    const { vector, value } = dominantEigenvector(
      [1, 0, 0, 0, 0, 0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0, 0.5, 0.5, 0.5],
      4,
    );
    expect(value).toBeCloseTo(1.5, 12);
    expect(at(vector, 0)).toBeCloseTo(0, 9);
  });

  it('of zeros is zero', () => {
    expect(dominantEigenvector([0, 0, 0, 0], 2)).toEqual({ vector: new Float64Array(2), value: 0 });
  });
});

import {
  abs,
  deviceOf,
  div,
  matmul,
  mean,
  mul,
  reshape,
  scalar,
  sub,
  sum,
  tensor,
  transpose,
  where,
} from '../../kernels/index.ts';
import { Scope } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';

/**
 * The first principal component of the pixels of each image, each pixel being a vector of C channels: the projection of
 * the pixels on the direction in which they differ most, the first right singular vector of [I J, C].
 *
 * The sign of a singular vector means nothing. It is chosen so that the map is high where the channels are: its inner
 * product with the sum over channels is positive.
 * @param x [B,C,I,J]
 * @param centre whether the mean pixel is taken out first
 * @returns [B,I,J]
 */
export async function firstComponent(x: Tensor, { centre = true } = {}): Promise<Tensor> {
  const scope = new Scope(x.scope);
  try {
    const [B = 1, C = 1, I = 1, J = 1] = x.shape;
    const device = deviceOf(x);
    const pixels = reshape(scope.enter(x), [B, C, I * J]);
    const X = centre ? sub(pixels, mean(pixels, [2], true)) : pixels;
    const transposed = transpose(X, [0, 2, 1]);
    // X X^T and X^T X have the same eigenvalues; the smaller one has the eigenvector that is found sooner.
    const size = Math.min(C, I * J);
    const gram = await (C <= I * J ? matmul(X, transposed) : matmul(transposed, X)).data();
    const found = Array.from({ length: B }, (_, b) =>
      dominantEigenvector(Float64Array.from(gram.subarray(b * size * size, (b + 1) * size * size)), size),
    );
    const vectors = tensor(device, Float32Array.from(found.flatMap(({ vector }) => [...vector])), [B, 1, size], {
      scope,
    });
    // With X = V S U^T the projection V[0]^T X is S[0] U[0]^T.
    const scales = tensor(
      device,
      Float32Array.from(found, ({ value }) => Math.sqrt(value)),
      [B, 1, 1],
      { scope },
    );
    const component = C <= I * J ? matmul(vectors, X) : mul(vectors, scales);

    const agreement = sum(mul(component, sum(pixels, [1], true)), [2], true);
    const sign = where(agreement, div(agreement, abs(agreement)), scalar(device, 1, scope));
    return scope.keep(reshape(mul(component, sign), [B, I, J]));
  } finally {
    scope.dispose();
  }
}

interface Eigenpair {
  /** Of length 1. */
  readonly vector: Float64Array;
  readonly value: number;
}

/** The directions that one round looks into. */
const DIRECTIONS = 24;
/** What is left of A v - value v, relative to the value, when v is found. */
const CONVERGED = 1e-10;
const MOST_ROUNDS = 80;
const MOST_STEPS = 2000;

/**
 * The eigenvector with the largest eigenvalue of a symmetric, positive semi-definite matrix, by Lanczos' method: the best
 * vector of the space of v, A v, A^2 v, ... becomes the next v. Power iteration by itself takes five times as many products.
 */
function dominantEigenvector(matrix: Float64Array, size: number): Eigenpair {
  let vector = largestColumn(matrix, size);
  let value = normaliseInPlace(vector);
  for (let round = 0; round < MOST_ROUNDS && value > 0; round++) {
    const { basis, projected, rest } = krylovSpace(matrix, vector);
    const best = powerIteration(projected, basis.length);
    vector = new Float64Array(size);
    for (const [i, direction] of basis.entries()) addInPlace(vector, at(best.vector, i), direction);
    value = best.value;
    if (rest * Math.abs(at(best.vector, basis.length - 1)) <= CONVERGED * value) break;
  }
  return { vector, value };
}

/**
 * An orthonormal basis of the space of v, A v, A^2 v, ... and A in it: Q and Q^T A Q.
 * @returns also the length of what A adds to the last direction and the space does not have
 */
function krylovSpace(matrix: Float64Array, start: Float64Array) {
  const count = Math.min(DIRECTIONS, start.length);
  const basis = [start];
  const overlaps: [row: number, column: number, overlap: number][] = [];
  let rest = 0;
  for (const [column, direction] of basis.entries()) {
    const next = product(matrix, direction);
    for (const [row, known] of basis.entries()) {
      const overlap = dot(known, next);
      addInPlace(next, -overlap, known);
      overlaps.push([row, column, overlap]);
    }
    rest = normaliseInPlace(next);
    // The space has all that it can have.
    if (rest <= CONVERGED * (overlaps[0]?.[2] ?? 0)) break;
    // What is little by now has lost digits, and is not orthogonal to the others any more.
    for (const known of basis) addInPlace(next, -dot(known, next), known);
    normaliseInPlace(next);
    if (basis.length < count) basis.push(next);
  }
  const projected = new Float64Array(basis.length ** 2);
  for (const [row, column, overlap] of overlaps) {
    projected[row * basis.length + column] = overlap;
    projected[column * basis.length + row] = overlap;
  }
  return { basis, projected, rest };
}

/** It begins at the column of the largest diagonal element, which the eigenvector is not orthogonal to. */
function powerIteration(matrix: Float64Array, size: number): Eigenpair {
  let vector = largestColumn(matrix, size);
  let value = normaliseInPlace(vector);
  for (let step = 0; step < MOST_STEPS && value > 0; step++) {
    const next = product(matrix, vector);
    value = normaliseInPlace(next);
    addInPlace(vector, -1, next);
    const change = Math.sqrt(dot(vector, vector));
    vector = next;
    if (change < CONVERGED) break;
  }
  return { vector, value };
}

/** The column of the largest diagonal element. */
function largestColumn(matrix: Float64Array, size: number): Float64Array {
  let column = 0;
  for (let i = 1; i < size; i++) {
    if (at(matrix, i * size + i) > at(matrix, column * size + column)) column = i;
  }
  return Float64Array.from({ length: size }, (_, row) => at(matrix, row * size + column));
}

function product(matrix: Float64Array, vector: Float64Array): Float64Array {
  const size = vector.length;
  return Float64Array.from({ length: size }, (_, i) => dot(matrix.subarray(i * size, (i + 1) * size), vector));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

/** a += scale b */
function addInPlace(a: Float64Array, scale: number, b: Float64Array): void {
  for (let i = 0; i < a.length; i++) a[i] = (a[i] ?? 0) + scale * (b[i] ?? 0);
}

/** Divides by the norm, unless it is zero, and returns it. */
function normaliseInPlace(vector: Float64Array): number {
  const norm = Math.sqrt(dot(vector, vector));
  if (norm > 0) for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / norm;
  return norm;
}

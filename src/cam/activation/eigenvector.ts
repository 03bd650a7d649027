import { at } from '../../tensor/shape.ts';

/** A vector is good when what is left of A v - lambda v is as small as this, relative to lambda. */
const CONVERGED = 1e-10;
/** So many vectors span the space in which an eigenvector is looked for, before the search begins anew from the best. */
const DIMENSIONS = 10;
const MOST_ROUNDS = 50;
const MOST_STEPS = 2000;
const GOLDEN_RATIO = (1 + Math.sqrt(5)) / 2;

export interface Eigenpair {
  readonly vector: Float64Array;
  readonly value: number;
}

/**
 * The eigenvector with the largest eigenvalue of a symmetric, positive semi-definite matrix; zeros for a matrix of zeros.
 *
 * The best vector in the Krylov space of a few products with the matrix, and again from there: Lanczos' method with
 * restarts, which takes a fraction of the products of a power iteration.
 * @param matrix row-major
 */
export function dominantEigenvector(matrix: ArrayLike<number>, size: number): Eigenpair {
  let vector = anyImage(matrix, size);
  let value = normaliseInPlace(vector);
  for (let round = 0; round < MOST_ROUNDS && value > 0; round++) {
    const { basis, images } = krylovSpace(matrix, vector);
    const projected = Float64Array.from(images.flatMap((image) => basis.map((q) => dot(q, image))));
    const best = powerIteration(projected, basis.length);
    value = best.value;
    vector = combination(basis, best.vector);
    const residual = combination(images, best.vector);
    addScaled(residual, vector, -value);
    if (norm(residual) <= CONVERGED * value) break;
  }
  return { vector, value };
}

/** An orthonormal basis of the space of v, A v, A^2 v ..., and A times each of its vectors. */
function krylovSpace(matrix: ArrayLike<number>, start: Float64Array) {
  const basis: Float64Array[] = [];
  const images: Float64Array[] = [];
  let next = start;
  while (norm(next) > 0 && basis.length < DIMENSIONS) {
    const image = product(matrix, next);
    basis.push(next);
    images.push(image);
    next = newDirection(image, basis);
  }
  return { basis, images };
}

/** The direction of a vector that is not in the span of the basis; zeros where rounding is all that is left of it. */
function newDirection(vector: Float64Array, basis: readonly Float64Array[]): Float64Array {
  const rest = vector.slice();
  // The second time takes out what the rounding of the first time left.
  for (const q of [...basis, ...basis]) addScaled(rest, q, -dot(q, rest));
  if (norm(rest) <= CONVERGED * norm(vector)) return rest.fill(0);
  normaliseInPlace(rest);
  return rest;
}

/** For matrices of a few rows. */
function powerIteration(matrix: ArrayLike<number>, size: number): Eigenpair {
  let vector = anyImage(matrix, size);
  let value = normaliseInPlace(vector);
  for (let step = 0; step < MOST_STEPS && value > 0; step++) {
    const next = product(matrix, vector);
    value = normaliseInPlace(next);
    addScaled(vector, next, -1);
    const converged = norm(vector) < CONVERGED;
    vector = next;
    if (converged) break;
  }
  return { vector, value };
}

/** The image of a vector that is orthogonal to an eigenvector by coincidence only: its elements have no pattern. */
function anyImage(matrix: ArrayLike<number>, size: number): Float64Array {
  return product(
    matrix,
    Float64Array.from({ length: size }, (_, i) => 1 + ((i * GOLDEN_RATIO) % 1)),
  );
}

function product(matrix: ArrayLike<number>, vector: Float64Array): Float64Array {
  const size = vector.length;
  const result = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += (matrix[i * size + j] ?? 0) * (vector[j] ?? 0);
    result[i] = sum;
  }
  return result;
}

function combination(vectors: readonly Float64Array[], weights: Float64Array): Float64Array {
  const result = new Float64Array(vectors[0]?.length ?? 0);
  for (const [i, vector] of vectors.entries()) addScaled(result, vector, at(weights, i));
  return result;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function addScaled(to: Float64Array, vector: Float64Array, factor: number): void {
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + factor * (vector[i] ?? 0);
}

function norm(vector: Float64Array): number {
  return Math.sqrt(dot(vector, vector));
}

/** Divides by the norm, unless it is zero, and returns it. */
function normaliseInPlace(vector: Float64Array): number {
  const length = norm(vector);
  if (length > 0) for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / length;
  return length;
}

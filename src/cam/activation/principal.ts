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
      dominantEigenvector(gram.subarray(b * size * size, (b + 1) * size * size), size),
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

/** A step that changes the vector by less is the last one. */
const CONVERGED = 1e-10;
const MOST_STEPS = 2000;

/**
 * The eigenvector with the largest eigenvalue of a symmetric, positive semi-definite matrix, by power iteration; it begins
 * at the column of the largest diagonal element, which no such vector is orthogonal to.
 */
function dominantEigenvector(matrix: ArrayLike<number>, size: number): { vector: Float64Array; value: number } {
  let start = 0;
  for (let i = 1; i < size; i++) {
    if (at(matrix, i * size + i) > at(matrix, start * size + start)) start = i;
  }
  let vector = Float64Array.from({ length: size }, (_, i) => at(matrix, i * size + start));
  let value = normaliseInPlace(vector);
  for (let step = 0; step < MOST_STEPS && value > 0; step++) {
    const next = product(matrix, vector);
    value = normaliseInPlace(next);
    let change = 0;
    for (let i = 0; i < size; i++) change += ((next[i] ?? 0) - (vector[i] ?? 0)) ** 2;
    vector = next;
    if (Math.sqrt(change) < CONVERGED) break;
  }
  return { vector, value };
}

function product(matrix: ArrayLike<number>, vector: Float64Array): Float64Array<ArrayBuffer> {
  const size = vector.length;
  const result = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += (matrix[i * size + j] ?? 0) * (vector[j] ?? 0);
    result[i] = sum;
  }
  return result;
}

/** Divides by the norm, unless it is zero, and returns it. */
function normaliseInPlace(vector: Float64Array): number {
  const norm = Math.hypot(...vector);
  if (norm > 0) for (let i = 0; i < vector.length; i++) vector[i] = (vector[i] ?? 0) / norm;
  return norm;
}

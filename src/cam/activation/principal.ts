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
import type { Tensor } from '../../tensor/tensor.ts';
import { dominantEigenvector } from './eigenvector.ts';

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

import { deviceOf } from '../kernels/device.ts';
import {
  add,
  concat,
  div,
  equal,
  max,
  mul,
  neg,
  relu,
  scalar,
  slice,
  sqrt,
  sub,
  sum,
  where,
} from '../kernels/index.ts';
import { tidy } from '../tensor/scope.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Activation, activate, classMaps } from './algorithm.ts';

/* What the paper's own library, `xai-inference-engine`, computes in place of equations 3 to 6, for comparing with it. */

/** The smallest norm that the library divides by. */
const EPSILON = 1e-12;

export interface ReferenceOptions {
  readonly activation?: Activation;
  /** The library's `enhance`: whether maps are normalised before the activation. */
  readonly enhance?: boolean;
}

/**
 * The fused maps as the library returns them.
 * @param alpha [N,K,C]
 * @param activations [N,C,I,J]
 * @returns [N,K,I,J], in [0,1]; zero where all values are equal, for which the library divides 0 by 0
 */
export function referenceMaps(alpha: Tensor, activations: Tensor, options: ReferenceOptions = {}): Tensor {
  const { activation = 'relu', enhance = true } = options;
  return tidy([alpha, activations], (alpha, a) => {
    const R = classMaps(cumulativeImportance(alpha), a);
    const S = firstMaximum(R);
    return minMax(activate(enhance ? normaliseRows(S) : S, activation));
  });
}

/**
 * In place of alpha[k]: the product of alpha[1] ... alpha[k]. The library multiplies one activation tensor, shared by all
 * classes, in place.
 */
export function cumulativeImportance(alpha: Tensor): Tensor {
  let product = classSlice(alpha, 0);
  const products = [product];
  for (let k = 1; k < at(alpha.shape, 1); k++) {
    product = mul(product, classSlice(alpha, k));
    products.push(product);
  }
  return concat(products, 1);
}

/** In place of equation 4: an argmax, so that of several classes that tie only the first is kept. */
export function firstMaximum(R: Tensor): Tensor {
  const zero = scalar(deviceOf(R), 0, R.scope);
  const isMaximum = equal(R, max(R, [1], true));
  let taken: Tensor = zero;
  const kept: Tensor[] = [];
  for (let k = 0; k < at(R.shape, 1); k++) {
    const candidate = where(taken, zero, classSlice(isMaximum, k));
    kept.push(where(candidate, classSlice(R, k), zero));
    taken = add(taken, candidate);
  }
  return concat(kept, 1);
}

/** In place of the norm of equation 6: `normalize(dim=1)` of [K,I,J], the norm of each column of each class. */
export function normaliseRows(S: Tensor): Tensor {
  const norm = sqrt(sum(mul(S, S), [2], true));
  const epsilon = scalar(deviceOf(S), EPSILON, S.scope);
  // max(norm, epsilon)
  return div(S, add(relu(sub(norm, epsilon)), epsilon));
}

/** After the activation: all classes together are stretched to [0,1]. */
export function minMax(maps: Tensor): Tensor {
  const axes = [1, 2, 3];
  const least = neg(max(neg(maps), axes, true));
  const range = sub(max(maps, axes, true), least);
  return where(range, div(sub(maps, least), range), scalar(deviceOf(maps), 0, maps.scope));
}

/** Class k of [N,K,...] as [N,1,...]. */
function classSlice(x: Tensor, k: number): Tensor {
  const starts = x.shape.map((_, axis) => (axis === 1 ? k : 0));
  return slice(
    x,
    starts,
    x.shape.map((size, axis) => (axis === 1 ? k + 1 : size)),
  );
}

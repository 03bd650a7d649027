import { UsageError } from '../errors.ts';
import { deviceOf } from '../kernels/device.ts';
import {
  abs,
  concat,
  div,
  elu,
  equal,
  gelu,
  matmul,
  max,
  mean,
  mul,
  relu,
  reshape,
  scalar,
  sqrt,
  sum,
  where,
} from '../kernels/index.ts';
import { tidy } from '../tensor/scope.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/* Algorithm 1 of the FM-G-CAM paper (Rammuni Silva and Bird 2024), one function for each of its equations. Shapes: N images,
   K classes, C channels of the target layer, I x J its pixels. */

/**
 * Equation 1: the classes n_1 ... n_K with P(n_1) >= ... >= P(n_K); ties are broken by the lower index.
 * @param probabilities of one image
 * @throws UsageError unless 1 <= K <= number of classes
 */
export function topClasses(probabilities: ArrayLike<number>, k: number): number[] {
  const classes = probabilities.length;
  if (!Number.isInteger(k) || k < 1 || k > classes) {
    throw new UsageError(`topK ${k} is out of range: this model has ${classes} classes; use 1 to ${classes}`);
  }
  return Array.from({ length: classes }, (_, n) => n)
    .sort((m, n) => at(probabilities, n) - at(probabilities, m) || m - n)
    .slice(0, k);
}

/**
 * Equation 2: alpha[k,c] = 1/(I J) sum over i,j of d y[k] / d a[c,i,j].
 * @param gradients [N,K,C,I,J], of the logits (not the probabilities) with respect to the activations
 * @returns [N,K,C]
 */
export function channelImportance(gradients: Tensor): Tensor {
  return mean(gradients, [-2, -1]);
}

/**
 * Equation 3: R[k] = 1/C sum over c of alpha[k,c] a[c].
 * @param alpha [N,K,C]
 * @param activations [N,C,I,J]
 * @returns [N,K,I,J]
 */
export function classMaps(alpha: Tensor, activations: Tensor): Tensor {
  return tidy([alpha, activations], (alpha, a) => {
    const C = at(a.shape, 1);
    return mul(weightedSum(alpha, a), scalar(deviceOf(a), 1 / C, a.scope));
  });
}

/**
 * Equation 4: S[k,i,j] = R[k,i,j] where it equals the maximum of R[.,i,j] over the classes, else 0. The maximum may be
 * negative. Classes that tie for it are all kept.
 * @param R [N,K,I,J]
 * @returns [N,K,I,J]
 */
export function filterMaximum(R: Tensor): Tensor {
  return tidy([R], (R) => where(equal(R, max(R, [1], true)), R, scalar(deviceOf(R), 0, R.scope)));
}

/**
 * Equation 5: S' = [S[1] ... S[K]], the maps of all classes as one tensor.
 * @param maps each [N,k,I,J]; usually one tensor that has all classes already
 * @returns [N,K,I,J]
 */
export function fuse(maps: readonly Tensor[]): Tensor {
  const [first] = maps;
  return maps.length === 1 && first ? first.alias() : concat(maps, 1);
}

/**
 * The quotient of equation 6: S' / ||S'||_2, one norm over all classes and pixels of an image. A zero tensor stays zero.
 * The largest magnitude is divided out first, so that no square overflows or underflows in float32.
 * @param fused [N,K,I,J]
 * @returns [N,K,I,J]
 */
export function normalise(fused: Tensor): Tensor {
  return tidy([fused], (S) => {
    const zero = scalar(deviceOf(S), 0, S.scope);
    const largest = max(abs(S), [1, 2, 3], true);
    const scaled = where(largest, div(S, largest), zero);
    const norm = sqrt(sum(mul(scaled, scaled), [1, 2, 3], true));
    return where(norm, div(scaled, norm), zero);
  });
}

export const ACTIVATIONS = ['relu', 'elu', 'gelu'] as const;
/** The activation of equation 6; the paper's default is the ReLU, and its section 4 offers the others. */
export type Activation = (typeof ACTIVATIONS)[number];

const activations: { readonly [Name in Activation]: (x: Tensor) => Tensor } = { relu, elu: (x) => elu(x), gelu };

/** The activation of equation 6: ReLU(S' / ||S'||_2), or ELU or exact GELU instead. */
export function activate(normalised: Tensor, activation: Activation = 'relu'): Tensor {
  if (!Object.hasOwn(activations, activation)) {
    throw new UsageError(`activation "${activation}" is unknown; use ${ACTIVATIONS.join(', ')}`);
  }
  return activations[activation](normalised);
}

/** Equations 4 to 6 in one go: the fused, normalised and activated maps [N,K,I,J] of class maps [N,K,I,J]. */
export function fmGCam(R: Tensor, activation: Activation = 'relu'): Tensor {
  return tidy([R], (R) => activate(normalise(fuse([filterMaximum(R)])), activation));
}

/**
 * Grad-CAM (Selvaraju et al. 2017, equations 1 and 2): ReLU(sum over c of alpha[k,c] a[c]), each class for itself.
 * @param alpha [N,K,C]
 * @param activations [N,C,I,J]
 * @returns [N,K,I,J]
 */
export function gradCam(alpha: Tensor, activations: Tensor): Tensor {
  return tidy([alpha, activations], (alpha, a) => relu(weightedSum(alpha, a)));
}

/** sum over c of alpha[n,k,c] a[n,c,i,j], as one matrix product for each image. */
export function weightedSum(alpha: Tensor, a: Tensor): Tensor {
  const [N = 1, C = 1, I = 1, J = 1] = a.shape;
  return reshape(matmul(alpha, reshape(a, [N, C, I * J])), [N, -1, I, J]);
}

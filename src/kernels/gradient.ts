import type { Tensor } from '../tensor/tensor.ts';

export interface GradientCall<Attributes> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: Attributes;
  /**
   * For each output, the derivatives of K scores with respect to it: shape [K, ...output shape], undefined where no score
   * depends on it. Saved tensors have no K axis and broadcast over it, so that one backward pass serves all K scores.
   */
  readonly cotangents: readonly (Tensor | undefined)[];
}

/**
 * The vector-Jacobian product of an op: for each input a function that returns the derivatives of the K scores with
 * respect to it, [K, ...input shape]; undefined where there is none. A function that nobody calls costs nothing.
 */
export type GradientRule<Attributes> = (call: GradientCall<Attributes>) => readonly ((() => Tensor) | undefined)[];

/** For rules of ops with one output: its cotangent, which is there whenever the rule is called. */
export function onlyCotangent({ cotangents: [cotangent] }: Pick<GradientCall<unknown>, 'cotangents'>): Tensor {
  if (!cotangent) throw new RangeError('a gradient rule was called without a cotangent');
  return cotangent;
}

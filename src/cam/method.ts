import type { Model } from '../nn/model.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ObservedPass, Target } from './observe.ts';

/** What every method is asked: where in the image does this network see these classes? */
export interface MethodCall extends Target {
  readonly model: Model;
  /** [N,3,H,W], prepared as the network wants it, on the device that shall do the work. */
  readonly input: Tensor;
  /** Dotted name of the target layer; methods that explain the image itself have no use for it. */
  readonly layer: string;
  /** For each image, the K target classes. */
  readonly classes: readonly (readonly number[])[];
  /** Cancels: checked between passes. */
  readonly signal?: AbortSignal | undefined;
  /** Is told how much is done, in passes of the network. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
  /** The pass that found the classes, where it was observed at the target layer: it need not run again. */
  readonly observed?: ObservedPass | undefined;
}

/**
 * A method: the raw maps [N,K,I,J] of the target classes, signed where the method has a sign, before any activation or
 * scaling; I x J is the resolution that the method works at. The result belongs to the scope of the input.
 */
export type Method = (call: MethodCall) => Promise<Tensor>;

/** @throws the signal's reason when the work is cancelled */
export function throwIfAborted({ signal }: Pick<MethodCall, 'signal'>): void {
  signal?.throwIfAborted();
}

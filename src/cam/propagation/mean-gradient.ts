import { add, deviceOf, mul, reshape, scalar, sum } from '../../kernels/index.ts';
import { tidy } from '../../tensor/scope.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type MethodCall, throwIfAborted } from '../method.ts';
import { settled } from '../passes.ts';
import { backToInput } from './backward.ts';

export interface Variants {
  /** How many variants of each image there are. */
  readonly count: number;
  /** How many of them go through the network at once. */
  readonly batch: number;
  /** The variants with start <= number < end, asked for in order: [end - start, N,3,H,W]. */
  readonly make: (start: number, end: number) => Tensor;
}

/**
 * The mean over variants of the images of the gradients of the K target logits, [K,N,3,H,W].
 * @throws the signal's reason when the work is cancelled
 */
export async function meanGradient(call: MethodCall, { count, batch, make }: Variants): Promise<Tensor> {
  const passes = Math.ceil(count / batch);
  let total: Tensor | undefined;
  for (let pass = 0; pass < passes; pass++) {
    throwIfAborted(call);
    const variants = make(pass * batch, Math.min((pass + 1) * batch, count));
    const part = sumOfGradients(call, variants);
    variants.dispose();
    const before: Tensor | undefined = total;
    total = before ? add(before, part) : part;
    if (before) for (const tensor of [before, part]) tensor.dispose();
    await settled(total);
    call.progress?.(pass + 1, passes);
  }
  if (!total) throw new RangeError('meanGradient needs at least one variant');
  return mul(total, scalar(deviceOf(total), 1 / count, total.scope));
}

/** The sum over S variants [S,N,3,H,W] of the gradients, [K,N,3,H,W]; the variants are one batch of S N images. */
function sumOfGradients({ model, classes, counterfactual }: MethodCall, variants: Tensor): Tensor {
  return tidy([variants], (variants) => {
    const [S = 1, ...images] = variants.shape;
    const repeated = Array.from({ length: S }, () => classes).flat();
    const gradients = backToInput(
      { model, classes: repeated, counterfactual },
      reshape(variants, [-1, ...images.slice(1)]),
    );
    return sum(reshape(gradients, [-1, S, ...images]), [1]);
  });
}

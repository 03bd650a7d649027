import { FmgcamError, UsageError } from '../errors.ts';
import { tensor } from '../kernels/create.ts';
import { deviceOf } from '../kernels/device.ts';
import { tidy } from '../tensor/scope.ts';
import { at, sizeOf } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { vjp } from './tape.ts';

export interface GradcheckOptions {
  /** Step of the central difference. In float32 the error of the quotient is about 1e-7 / epsilon + epsilon^2. */
  readonly epsilon?: number;
  /** Largest relative L2 distance between the two gradients. */
  readonly tolerance?: number;
  /** Derivatives are compared at this many elements of each input, spread evenly. */
  readonly samples?: number;
  /** Seed of the random cotangent. */
  readonly seed?: number;
}

export interface GradcheckResult {
  /** Relative L2 distance for each input. */
  readonly errors: readonly number[];
}

/**
 * Compares the gradients of `f` with central differences of the score sum(cotangent * f(inputs)), the cotangent being
 * random, so that a rule which ignores what comes from above is found out.
 * @throws FmgcamError that names the input whose gradient is wrong
 */
export async function gradcheck(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<GradcheckResult> {
  const { epsilon = 1e-2, tolerance = 1e-2, samples = 24, seed = 1 } = options;
  const [first] = inputs;
  if (!first) throw new UsageError('gradcheck needs at least one input');
  const device = deviceOf(first);
  const random = uniform(seed);

  const cotangent: number[] = [];
  const { output, gradients } = vjp(f, inputs, (result) => {
    for (let i = 0; i < result.size; i++) cotangent.push(random());
    return tensor(device, cotangent, [1, ...result.shape], { scope: result.scope });
  });
  output.dispose();

  const values = await Promise.all(inputs.map((input) => input.data()));
  const score = async (which: number, index: number, step: number): Promise<number> => {
    const changed = values.map((data, i) => {
      const copy = Float32Array.from(data);
      if (i === which) copy[index] = at(copy, index) + step;
      return tensor(device, copy, at(inputs, i).shape);
    });
    try {
      const result = tidy(changed, f);
      const data = await result.data().finally(() => result.dispose());
      return cotangent.reduce((sum, weight, i) => sum + weight * at(data, i), 0);
    } finally {
      for (const input of changed) input.dispose();
    }
  };

  const errors: number[] = [];
  for (const [which, gradient] of gradients.entries()) {
    const analytic = await gradient.data();
    gradient.dispose();
    const count = sizeOf(at(inputs, which).shape);
    let distance = 0;
    let norm = 0;
    for (let s = 0; s < Math.min(samples, count); s++) {
      const index = Math.floor((s * count) / Math.min(samples, count));
      // What float32 makes of the steps is what they are.
      const x = at(values, which)[index] ?? 0;
      const up = Math.fround(x + epsilon) - x;
      const down = x - Math.fround(x - epsilon);
      const difference = ((await score(which, index, up)) - (await score(which, index, -down))) / (up + down);
      distance += (difference - at(analytic, index)) ** 2;
      norm += difference ** 2;
    }
    errors.push(Math.sqrt(distance) / Math.max(Math.sqrt(norm), 1e-3));
  }
  const worst = errors.findIndex((error) => !(error <= tolerance));
  if (worst >= 0) {
    throw new FmgcamError(
      `gradcheck: the gradient of input ${worst} is off by ${at(errors, worst).toExponential(1)} (relative L2; ${tolerance} allowed)`,
    );
  }
  return { errors };
}

/** Numbers between -1 and 1 from a linear congruential generator (Numerical Recipes). */
function uniform(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

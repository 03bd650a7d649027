import { UsageError } from '../errors.ts';

export interface WarmUpCosineOptions {
  /** The learning rate behind the warm-up. */
  readonly peak: number;
  /** Steps of the warm-up, the last of which has the peak; 0 for none. */
  readonly warmUp: number;
  /** Of the whole training. */
  readonly steps: number;
}

/** The learning rate of a step: a linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter 2017, equation 5). */
export function warmUpCosine({ peak, warmUp, steps }: WarmUpCosineOptions): (step: number) => number {
  if (!(warmUp >= 0 && warmUp < steps)) {
    throw new UsageError(`a warm-up of ${warmUp} steps does not fit a training of ${steps}; make it shorter`);
  }
  return (step) => {
    if (step < warmUp) return (peak * (step + 1)) / warmUp;
    return (peak / 2) * (1 + Math.cos((Math.PI * (step - warmUp)) / (steps - warmUp)));
  };
}

import { random32 } from '../src/random.ts';

/** What is drawn by chance, from one seed. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = random32(seed);
  }

  /** Uniform from `low` up to, and not including, `high`. */
  uniform(low = 0, high = 1): number {
    return low + ((high - low) * this.#next()) / 2 ** 32;
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.uniform(0, count));
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const value = list[this.below(list.length)];
    if (value === undefined) throw new RangeError('nothing to pick from');
    return value;
  }

  /** `count` different numbers below `total`. */
  distinct(count: number, total: number): number[] {
    const numbers = Array.from({ length: total }, (_, i) => i);
    return Array.from({ length: count }, () => numbers.splice(this.below(numbers.length), 1)[0] ?? 0);
  }

  /** Index i with a probability in proportion to weights[i]. */
  weighted(weights: readonly number[]): number {
    let left = this.uniform(
      0,
      weights.reduce((a, b) => a + b),
    );
    const found = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return Math.max(found, 0);
  }
}

/* Seeded: the same seed gives the same numbers everywhere. */

/** Uniform 32-bit integers: splitmix32, whose every state occurs once (Steele et al. 2014, with 32-bit constants). */
export function random32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/** Numbers from [0,1). */
export function uniform(seed: number): () => number {
  const random = random32(seed);
  return () => random() / 2 ** 32;
}

/** Numbers from the standard normal distribution (Box and Muller 1958). */
export function gaussian(seed: number): () => number {
  const random = uniform(seed);
  return () => {
    // 1 - u is never 0.
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  };
}

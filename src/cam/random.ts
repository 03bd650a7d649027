/** Numbers from [0,1): 32 bits of state, stepped by the golden ratio and mixed (Steele et al. 2014, SplitMix). */
export function uniform(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** Numbers from the standard normal distribution, the same for the same seed (Box and Muller 1958). */
export function gaussian(seed: number): () => number {
  const random = uniform(seed);
  return () => {
    // 1 - u is never 0.
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return radius * Math.cos(2 * Math.PI * random());
  };
}

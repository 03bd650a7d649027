/** The order of maxima, PyTorch's: NaN is above every number. */
export function ranksAbove(a: number, b: number): boolean {
  return a > b || (Number.isNaN(a) && !Number.isNaN(b));
}

/** The same in WGSL. NaN is told by its bits, since WGSL lets implementations assume that there is none. */
export const RANKS_ABOVE_WGSL = `fn is_nan(a: f32) -> bool {
  return (bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u;
}

fn ranks_above(a: f32, b: f32) -> bool {
  return !is_nan(b) && (a > b || is_nan(a));
}`;

/* Where things are. Everything of this folder runs as a bundle in bench/dist, two folders below the root. */

export const ROOT = new URL('../../', import.meta.url);
export const BENCH = new URL('bench/', ROOT);
/** Bundled workers and the loops that measure the peak. */
export const BUNDLES = new URL('bench/dist/', ROOT);

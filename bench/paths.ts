/* Where things are. Everything of this folder runs as a bundle in bench/dist, or from its sources in tests. */

const isBundle = new URL('.', import.meta.url).pathname.endsWith('/dist/');
export const ROOT = new URL(isBundle ? '../../' : '../', import.meta.url);
export const BENCH = new URL('bench/', ROOT);
/** Bundled workers and the loops that measure the peak. */
export const BUNDLES = new URL('bench/dist/', ROOT);

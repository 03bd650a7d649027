import type { Start } from './share.js';

/** Threads that can run at once. */
export const parallelism = globalThis.navigator?.hardwareConcurrency ?? 1;

/** Starts a worker; `ended` is called if it ends by itself, which it does where its file was not deployed. */
export function spawn(start: Start, ended: () => void): () => void {
  const worker = new Worker(new URL('./worker-browser.js', import.meta.url), { type: 'module' });
  worker.addEventListener('error', ended);
  worker.postMessage(start);
  return () => worker.terminate();
}

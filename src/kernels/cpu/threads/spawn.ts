import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Start } from './share.js';

/** Threads that can run at once. */
export const parallelism = availableParallelism();

/** Starts a worker that does not keep the process alive; `ended` is called if it ends by itself. */
export function spawn(start: Start, ended: () => void): () => void {
  const worker = new Worker(new URL('./worker-node.js', import.meta.url), { workerData: start });
  worker.unref();
  worker.on('error', ended);
  worker.on('exit', ended);
  return () => void worker.terminate();
}

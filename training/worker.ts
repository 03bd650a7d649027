import { parentPort, workerData } from 'node:worker_threads';
import { type BatchOptions, drawBatch } from './batches.ts';
import { loadArtwork } from './sprites.ts';

/* Draws the next batch whenever it is asked to. */

const { styles, size, first, parts, ...options }: BatchOptions = workerData;
const artwork = loadArtwork(styles);
let next = first;
parentPort?.on('message', () => {
  const part = parts.findLast(({ from }) => from <= next);
  if (!part) throw new Error(`scene ${next} is in no part of the training`);
  const batch = drawBatch(next, size, { ...options, objects: part.objects, artwork });
  next += size;
  parentPort?.postMessage(batch, [batch.images.buffer, batch.targets.buffer]);
});

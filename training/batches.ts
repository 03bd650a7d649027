import { Worker } from 'node:worker_threads';
import { preprocess, squash } from '../src/index.ts';
import { CLASS_NAMES, type Style } from './classes.ts';
import { drawScene, type Scene, type SceneOptions, SIZE } from './scenes.ts';

export interface Batch {
  /** [N, 3, SIZE, SIZE], normalised. */
  readonly images: Float32Array<ArrayBuffer>;
  /** [N, classes]: the objects of a scene have equal shares. */
  readonly targets: Float32Array<ArrayBuffer>;
}

/** What the worker draws: batches of `size` scenes, beginning with scene number `first`. */
export interface BatchOptions extends Omit<SceneOptions, 'artwork' | 'objects'> {
  readonly styles: readonly Style[];
  readonly size: number;
  readonly first: number;
  /** How many objects there are from a scene on; the first part begins with scene 0. */
  readonly parts: readonly { readonly from: number; readonly objects: SceneOptions['objects'] }[];
}

/** Scenes `first` to `first + size - 1`. */
export function drawBatch(first: number, size: number, options: SceneOptions): Batch {
  return batchOf(Array.from({ length: size }, (_, i) => drawScene(first + i, options)));
}

export function batchOf(scenes: readonly Scene[]): Batch {
  const images = new Float32Array(scenes.length * 3 * SIZE * SIZE);
  const targets = new Float32Array(scenes.length * CLASS_NAMES.length);
  for (const [n, { pixels, objects }] of scenes.entries()) {
    const { input } = preprocess({ width: SIZE, height: SIZE, data: pixels }, squash(SIZE));
    images.set(input, n * input.length);
    for (const object of objects) targets[n * CLASS_NAMES.length + object] = 1 / objects.length;
  }
  return { images, targets };
}

/** How many batches wait to be taken. */
const AHEAD = 3;

/** Batches in order, which a worker thread draws while the network trains. */
export class BatchLoader {
  readonly #worker: Worker;
  readonly #ready: Batch[] = [];
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(options: BatchOptions) {
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: options });
    this.#worker.on('message', (batch: Batch) => {
      this.#ready.push(batch);
      this.#wake?.();
    });
    this.#worker.on('error', (error: Error) => {
      this.#failure = error;
      this.#wake?.();
    });
    for (let i = 0; i < AHEAD; i++) this.#worker.postMessage('next');
  }

  async take(): Promise<Batch> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const batch = this.#ready.shift();
      if (batch) {
        this.#worker.postMessage('next');
        return batch;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    void this.#worker.terminate();
  }
}

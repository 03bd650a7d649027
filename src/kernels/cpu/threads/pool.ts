import { DeviceError } from '../../../errors.ts';
import { type KernelName, SCRATCH_BYTES, type WasmKernel, type WasmModule } from '../wasm/kernels.ts';
import { FAILED, MOST_CHUNKS, PENDING, publish, STATE_WORDS, work } from './share.js';
import { spawn } from './spawn.ts';

/** Each thread takes about so many chunks of a job: one that is held up does not hold up the others. */
const CHUNKS_PER_THREAD = 4;
export const MOST_THREADS = Math.floor(MOST_CHUNKS / CHUNKS_PER_THREAD);

/** How often the caller looks whether the others are done before it sleeps. */
const LOOKS = 20_000;
/** A chunk takes milliseconds; a worker that finishes none for so long is not coming back. */
const PATIENCE_MILLISECONDS = 30_000;

/** Workers of pools that nobody holds any more are stopped; a tidy program destroys its devices before. */
const abandoned = new FinalizationRegistry<(() => void)[]>((stops) => {
  for (const stop of stops) stop();
});

/**
 * Threads that share the work of the CPU device. They start with the first job that can be shared, see `share.js` for how
 * they share it, sleep between forward passes and never keep a process alive. Where workers cannot be started, or have
 * ended, the caller does the work alone: results do not depend on who does what.
 */
export class ThreadPool {
  readonly #threads: number;
  readonly #module: WasmModule;
  readonly #kernels: readonly WasmKernel[];
  readonly #names: readonly string[];
  readonly #state: Int32Array;
  /** One place for each thread, the caller's first. */
  readonly #scratch: number;
  readonly #patience: number;
  #stops: (() => void)[] | undefined;
  #alone: boolean;

  /** @param allocate memory of the heap, for as long as the device lives */
  constructor(
    module: WasmModule,
    threads: number,
    allocate: (bytes: number) => number,
    patience = PATIENCE_MILLISECONDS,
  ) {
    const { memory, kernels } = module;
    this.#module = module;
    this.#kernels = Object.values(kernels);
    this.#names = Object.keys(kernels);
    this.#alone = threads === 1 || memory.buffer instanceof ArrayBuffer;
    this.#threads = this.#alone ? 1 : threads;
    this.#scratch = allocate(this.#threads * SCRATCH_BYTES);
    const state = allocate(4 * STATE_WORDS);
    this.#state = new Int32Array(memory.buffer, state, STATE_WORDS).fill(0);
    this.#patience = patience;
  }

  /** Threads that work, the caller's included. */
  get threads(): number {
    return this.#alone ? 1 : this.#threads;
  }

  /** Runs a kernel over all units of the job at this address. */
  run(name: KernelName, job: number, units: number): void {
    const kernel = this.#module.kernels[name];
    const chunks = Math.min(units, this.threads * CHUNKS_PER_THREAD);
    if (this.#alone || chunks < 2) {
      kernel(job, 0, units, this.#scratch);
      return;
    }
    this.start();
    const state = this.#state;
    publish(state, { kernel: this.#names.indexOf(name), job, units, chunks });
    work(state, this.#kernels, this.#scratch);
    this.#awaitOthers();
    if (Atomics.exchange(state, FAILED, 0) !== 0) throw new DeviceError(`the kernel ${name} failed on the CPU device`);
  }

  /** Starts the threads, if the first work worth sharing has not done so. */
  start(): void {
    if (!this.#alone) this.#stops ??= this.#start();
  }

  /** Stops the threads. */
  stop(): void {
    this.#alone = true;
    for (const stop of this.#stops ?? []) stop();
    this.#stops = [];
    abandoned.unregister(this);
  }

  #start(): (() => void)[] {
    const { module, memory } = this.#module;
    const pool = new WeakRef(this);
    const ended = () => pool.deref()?.stop();
    const stops: (() => void)[] = [];
    try {
      for (let i = 1; i < this.#threads; i++) {
        const scratch = this.#scratch + i * SCRATCH_BYTES;
        stops.push(spawn({ module, memory, state: this.#state.byteOffset, scratch }, ended));
      }
    } catch {
      // The host starts no more workers: those that there are will do.
      this.#alone = stops.length === 0;
    }
    abandoned.register(this, stops, this);
    return stops;
  }

  /** Waits for chunks that other threads have taken. */
  #awaitOthers(): void {
    const state = this.#state;
    for (let i = 0; i < LOOKS; i++) if (Atomics.load(state, PENDING) === 0) return;
    let pending = Atomics.load(state, PENDING);
    let deadline = performance.now() + this.#patience;
    while (pending > 0) {
      sleepOn(state, pending);
      const now = Atomics.load(state, PENDING);
      if (now < pending) deadline = performance.now() + this.#patience;
      pending = now;
      if (pending > 0 && performance.now() > deadline) {
        this.stop();
        throw new DeviceError(
          'a thread of the CPU device does not answer any more; the device goes on with one thread: run this again',
        );
      }
    }
  }
}

/** Sleeps for a moment, or until nothing is pending; the main thread of a page may not sleep and looks again at once. */
function sleepOn(state: Int32Array, pending: number): void {
  try {
    Atomics.wait(state, PENDING, pending, 1);
  } catch {
    // A page's main thread.
  }
}

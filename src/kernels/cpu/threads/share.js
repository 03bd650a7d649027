// @ts-check

/*
 * How threads share a job. This file is JavaScript, since a worker loads it as it is: Node 20 runs no TypeScript.
 *
 * A job is cut into chunks, which any thread takes, the caller among them. One word, `CLAIMS`, holds the number of the job
 * and how many of its chunks are left; a chunk is taken by lowering it with compareExchange, so that a thread that wakes up
 * late cannot take a chunk of one job with the fields of another. Nobody waits for threads that have taken nothing.
 */

/** Number of the job (upper bits) and chunks that nobody has taken (lower bits). Workers sleep on it. */
export const CLAIMS = 0;
/** Chunks that are not finished. The caller sleeps on it. */
export const PENDING = 1;
/** Workers that sleep. */
export const SLEEPERS = 2;
/** Not 0 where a chunk has failed. */
export const FAILED = 3;
/** The job: place of the kernel among the exports, address of the fields, number of units, number of chunks. */
export const KERNEL = 4;
export const JOB = 5;
export const UNITS = 6;
export const CHUNKS = 7;
export const STATE_WORDS = 8;

const CHUNK_BITS = 10;
export const MOST_CHUNKS = (1 << CHUNK_BITS) - 1;

/** For how long a worker looks for the next job before it sleeps: waking up costs 50 to 600 microseconds. */
const SPIN_MILLISECONDS = 1;
const LOOKS_BETWEEN_CLOCKS = 200;

/**
 * What a worker needs to know.
 * @typedef {object} Start
 * @property {WebAssembly.Module} module
 * @property {WebAssembly.Memory} memory shared
 * @property {number} state the address of STATE_WORDS words
 * @property {number} scratch the address of memory that is this worker's own
 *
 * @typedef {import('../wasm/kernels.ts').WasmKernel} WasmKernel
 */

/**
 * Publishes a job. Its fields are read only after the word that announces it.
 * @param {Int32Array} state
 * @param {{ kernel: number, job: number, units: number, chunks: number }} job
 */
export function publish(state, { kernel, job, units, chunks }) {
  state[KERNEL] = kernel;
  state[JOB] = job;
  state[UNITS] = units;
  state[CHUNKS] = chunks;
  Atomics.store(state, PENDING, chunks);
  const previous = Atomics.load(state, CLAIMS) >> CHUNK_BITS;
  Atomics.store(state, CLAIMS, ((previous + 1) << CHUNK_BITS) | chunks);
  if (Atomics.load(state, SLEEPERS) > 0) Atomics.notify(state, CLAIMS);
}

/**
 * Does chunks until nobody needs to take one.
 * @param {Int32Array} state
 * @param {readonly WasmKernel[]} kernels in the order of the module's exports
 * @param {number} scratch
 */
export function work(state, kernels, scratch) {
  for (;;) {
    const claim = Atomics.load(state, CLAIMS);
    const left = claim & MOST_CHUNKS;
    if (left === 0) return;
    // Read before the chunk is taken: if that succeeds, they were this job's.
    const kernel = state[KERNEL] ?? 0;
    const job = state[JOB] ?? 0;
    const units = state[UNITS] ?? 0;
    const chunks = state[CHUNKS] ?? 1;
    if (Atomics.compareExchange(state, CLAIMS, claim, claim - 1) !== claim) continue;
    const chunk = chunks - left;
    try {
      kernels[kernel]?.(job, Math.floor((units * chunk) / chunks), Math.floor((units * (chunk + 1)) / chunks), scratch);
    } catch {
      Atomics.store(state, FAILED, 1);
    }
    if (Atomics.sub(state, PENDING, 1) === 1) Atomics.notify(state, PENDING);
  }
}

/**
 * The life of a worker, which ends when the worker is terminated.
 * @param {Start} start
 */
export function serve({ module, memory, state: address, scratch }) {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = /** @type {WasmKernel[]} */ (Object.values(exports));
  const state = new Int32Array(memory.buffer, address, STATE_WORDS);
  for (;;) {
    awaitJob(state);
    work(state, kernels, scratch);
  }
}

/** @param {Int32Array} state */
function awaitJob(state) {
  const patience = performance.now() + SPIN_MILLISECONDS;
  do {
    for (let i = 0; i < LOOKS_BETWEEN_CLOCKS; i++) if ((Atomics.load(state, CLAIMS) & MOST_CHUNKS) !== 0) return;
  } while (performance.now() < patience);
  Atomics.add(state, SLEEPERS, 1);
  const claims = Atomics.load(state, CLAIMS);
  if ((claims & MOST_CHUNKS) === 0) Atomics.wait(state, CLAIMS, claims);
  Atomics.sub(state, SLEEPERS, 1);
}

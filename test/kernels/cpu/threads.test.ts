import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import { Heap } from '../../../src/kernels/cpu/heap.ts';
import { MOST_THREADS, ThreadPool } from '../../../src/kernels/cpu/threads/pool.ts';
import type { Start } from '../../../src/kernels/cpu/threads/share.js';
import { instantiate } from '../../../src/kernels/cpu/wasm/kernels.ts';
import { add, conv2d, tensor } from '../../../src/kernels/index.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import { wave } from '../../support/numbers.ts';
import '../../support/relaxed-simd.ts';

type Spawn = typeof import('../../../src/kernels/cpu/threads/spawn.ts');

/** What a test puts in the place of the workers. */
let substitute: ((start: Start, ended: () => void) => () => void) | undefined;

vi.mock('../../../src/kernels/cpu/threads/spawn.ts', async (original) => {
  const real = await original<Spawn>();
  const spawn: Spawn['spawn'] = (start, ended) => (substitute ?? real.spawn)(start, ended);
  return { ...real, spawn };
});

const stops: (() => void)[] = [];
afterEach(() => {
  substitute = undefined;
  for (const stop of stops.splice(0)) stop();
});

/** A worker that takes one chunk as the others do, says so, and then runs `behaviour` instead of the kernel. */
const badWorker =
  (behaviour: string): NonNullable<typeof substitute> =>
  ({ memory, state }, ended) => {
    const worker = new Worker(
      `const { memory, state: address } = require('node:worker_threads').workerData;
       const state = new Int32Array(memory.buffer, address, 8);
       for (;;) {
         const claim = Atomics.load(state, 0);
         if ((claim & 1023) > 0 && Atomics.compareExchange(state, 0, claim, claim - 1) === claim) break;
       }
       ${behaviour}`,
      { eval: true, workerData: { memory, state } },
    );
    worker.unref();
    worker.on('error', ended);
    worker.on('exit', ended);
    const stop = () => void worker.terminate();
    stops.push(stop);
    return stop;
  };

/** A pool with a job that packs `count` panels, as often as it is asked to. */
function packingPool(threads: number, count: number, patience?: number) {
  const heap = new Heap();
  const reserve = (bytes: number) => heap.reserve(bytes);
  const [from, to, fields] = [reserve(32 * count), reserve(32 * count), reserve(64)];
  const pool = new ThreadPool(instantiate('wasm', heap.memory), threads, reserve, patience);
  stops.push(() => pool.stop());
  const words = () => new Int32Array(heap.buffer);
  // `Panels` of pack.as.ts: one tap, one row, 8 columns a panel.
  words().set([to, from, 0, 1, 0, 1, 0, 1, 0, 8 * count, 4], fields / 4);
  return {
    pool,
    copy(seed: number): boolean {
      const memory = words();
      for (let i = 0; i < 8 * count; i++) {
        memory[from / 4 + i] = seed * 31 + i;
        memory[to / 4 + i] = -1;
      }
      pool.run('packPanels', fields, count);
      return words()
        .subarray(to / 4, to / 4 + 8 * count)
        .every((value, i) => value === seed * 31 + i);
    },
  };
}

describe('threads', () => {
  it('do every unit of thousands of jobs once, whoever wakes up when', () => {
    const { copy } = packingPool(4, 37);
    for (let job = 0; job < 5000; job++) {
      expect(copy(job), `job ${job}`).toBe(true);
      // Now and then the workers have time to fall asleep.
      if (job % 500 === 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3);
    }
  });

  it('do not change a result, however many there are', async () => {
    const shapes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      channels: fc.integer({ min: 1, max: 20 }),
      out: fc.integer({ min: 1, max: 40 }),
      size: fc.integer({ min: 3, max: 24 }),
    });
    const devices = [1, 2, 3, 7].map((threads) => new CpuDevice({ threads }));
    await fc.assert(
      fc.asyncProperty(shapes, async ({ batch, channels, out, size }) => {
        const results = await Promise.all(
          devices.map((device) => {
            using scope = new Scope();
            const make = (shape: readonly number[]) => tensor(device, wave(shape, 0), shape, { scope });
            const x = make([batch, channels, size, size]);
            const y = conv2d(x, make([out, channels, 3, 3]), { padding: 1, activation: 'relu' });
            return add(y, y).data();
          }),
        );
        for (const result of results) expect(result).toEqual(results[0]);
      }),
      { numRuns: 30 },
    );
    for (const device of devices) device.destroy();
  });

  it('that hang are given up on with an error, and the device goes on alone', () => {
    substitute = badWorker('for (;;);');
    const { pool, copy } = packingPool(2, 64, 200);
    const start = performance.now();
    const runUntilTaken = () => {
      while (performance.now() - start < 20_000) copy(1);
    };
    expect(runUntilTaken).toThrow('a thread of the CPU device does not answer any more; the device goes on with one');
    expect(copy(2)).toBe(true);
    expect(pool.threads).toBe(1);
  });

  it('that cannot start leave the work to the caller', () => {
    substitute = () => {
      throw new Error('no more workers');
    };
    const { pool, copy } = packingPool(3, 64);
    expect(copy(1)).toBe(true);
    expect(pool.threads).toBe(1);
  });

  it('that end leave the work to the caller', async () => {
    const worker = { ended: () => {} };
    substitute = (_, ended) => {
      worker.ended = ended;
      return () => {};
    };
    const { pool, copy } = packingPool(3, 64);
    expect(copy(1)).toBe(true);
    worker.ended();
    expect(pool.threads).toBe(1);
    expect(copy(2)).toBe(true);
  });

  it('tell when a kernel fails', () => {
    const heap = new Heap();
    const reserve = (bytes: number) => heap.reserve(bytes);
    const pool = new ThreadPool(instantiate('wasm', heap.memory), 2, reserve);
    stops.push(() => pool.stop());
    // Weights beyond the end of the memory.
    const fields = reserve(64);
    new Int32Array(heap.buffer).set([64, 0x7ffffff0, 0, 1, 0, 1, 0, 1, 0, 128, 4], fields / 4);
    expect(() => pool.run('packPanels', fields, 16)).toThrow('the kernel packPanels failed on the CPU device');
  });

  it('do not keep a process alive', async () => {
    const program = `
      const { createDevice, tensor, conv2d } = await import(${JSON.stringify(new URL('../../../dist/index.js', import.meta.url).href)});
      const device = await createDevice('cpu', { threads: 3 });
      const x = tensor(device, new Float32Array(64 * 64 * 8).fill(1), [1, 8, 64, 64]);
      const w = tensor(device, new Float32Array(64).fill(1), [8, 8, 1, 1]);
      console.log((await conv2d(x, w).data())[0]);`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      timeout: 20_000,
    });
    expect(stdout.trim()).toBe('8');
  });

  it.each([0, -1, 1.5, 10_000, Number.NaN])('of a number such as %d are refused', (threads) => {
    expect(() => new CpuDevice({ threads })).toThrow(
      `threads must be a whole number from 1 to ${MOST_THREADS}, not ${threads}`,
    );
  });

  it('are as many as the environment says', () => {
    vi.stubEnv('FMGCAM_THREADS', '3');
    using device = new CpuDevice();
    vi.stubEnv('FMGCAM_THREADS', 'many');
    expect(() => new CpuDevice()).toThrow('threads must be a whole number');
    vi.unstubAllEnvs();
    expect(device.threads).toBe(3);
  });

  it('are one where memory cannot be shared', () => {
    const { Memory } = WebAssembly;
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.shared) throw new TypeError('shared memory is not allowed');
        super(descriptor);
      }
    };
    try {
      expect(new CpuDevice({ threads: 4 }).threads).toBe(1);
    } finally {
      WebAssembly.Memory = Memory;
    }
  });
});

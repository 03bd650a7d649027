import { DeviceError, UsageError } from '../../errors.ts';
import type { DType, TensorSpec } from '../../tensor/layout.ts';
import type { Block, HostData, MemoryReport } from '../../tensor/memory.ts';
import type { Device, HostOperand, Kernel, Operand } from '../device.ts';
import { Heap, HeapBlock } from './heap.ts';
import { MOST_THREADS, ThreadPool } from './threads/pool.ts';
import { parallelism } from './threads/spawn.ts';
import { type Job, StoredOperand, Workspace } from './wasm/call.ts';
import { type CpuKernels, chooseKernels, instantiate, type KernelName } from './wasm/kernels.ts';

export const PRECISIONS = ['fast', 'exact'] as const;
/** `exact` stays within 1e-5 of exact arithmetic (relative L2, a whole network), `fast` within 1e-4. */
export type Precision = (typeof PRECISIONS)[number];

export interface CpuDeviceOptions {
  /** The fastest that the host can run, when left out: those that the variable FMGCAM_CPU_KERNELS names, if it is set. */
  readonly kernels?: CpuKernels;
  /**
   * Threads that work, the caller's included; 1 where memory cannot be shared. As many as the machine runs at once when
   * left out, or what the variable FMGCAM_THREADS says.
   */
  readonly threads?: number;
  /** `fast` when left out, or what the variable FMGCAM_PRECISION says. */
  readonly precision?: Precision;
}

/** The CPU device: a kernel is done when the call returns; other threads share the work of the larger ones. */
export class CpuDevice implements Device {
  readonly kind = 'cpu';
  readonly name = 'cpu';
  /** The kernels in use; ops that WebAssembly has no kernel for run in TypeScript with any. */
  readonly kernels: CpuKernels;
  readonly precision: Precision;
  #heap: Heap | undefined = new Heap();
  readonly #pool: ThreadPool | undefined;

  /** @throws UsageError for options out of range, DeviceError when the kernels that are asked for cannot run here */
  constructor(options: CpuDeviceOptions = {}) {
    this.kernels = chooseKernels(options.kernels ?? globalThis.process?.env.FMGCAM_CPU_KERNELS);
    this.precision = choosePrecision(options.precision ?? globalThis.process?.env.FMGCAM_PRECISION);
    const threads = chooseThreads(options.threads ?? globalThis.process?.env.FMGCAM_THREADS);
    if (this.kernels === 'typescript') return;
    const heap = this.#memory;
    this.#pool = new ThreadPool(instantiate(this.kernels, heap.memory), threads, (bytes) => heap.reserve(bytes));
  }

  get prepacks(): boolean {
    return this.#pool !== undefined;
  }

  /** Threads that work, the caller's included. */
  get threads(): number {
    return this.#pool?.threads ?? 1;
  }

  /** Starts the threads now, so that the first work worth sharing does not wait for them. */
  start(): void {
    this.#pool?.start();
  }

  get destroyed(): boolean {
    return this.#heap === undefined;
  }

  get #memory(): Heap {
    if (!this.#heap) throw new DeviceError('the CPU device has been destroyed; create a new one');
    return this.#heap;
  }

  allocate(bytes: number): Block {
    return this.#memory.allocate(bytes);
  }

  release(block: Block): void {
    this.#heap?.release(heapBlock(block));
  }

  write(block: Block, data: HostData): void {
    this.#view(block, data instanceof Int32Array ? 'int32' : 'float32').set(data);
  }

  async read(block: Block, dtype: DType, length: number): Promise<HostData> {
    return this.#view(block, dtype).slice(0, length);
  }

  memory(): MemoryReport {
    const { live, pooled, blocks } = this.#memory;
    return { live, pooled, blocks };
  }

  run<Attributes>(
    kernel: Kernel<Attributes>,
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    attributes: Attributes,
  ): void {
    if (this.#runWasm(kernel, inputs, outputs, attributes)) return;
    const open = (operand: Operand): HostOperand => ({
      ...specOf(operand),
      data: this.#view(operand.storage.block, operand.dtype),
    });
    kernel.host({ inputs: inputs.map(open), outputs: outputs.map(open), attributes });
  }

  /** False where there is no WebAssembly kernel for this call. */
  #runWasm<Attributes>(
    kernel: Kernel<Attributes>,
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    attributes: Attributes,
  ): boolean {
    const pool = this.#pool;
    if (!pool || !kernel.wasm) return false;
    const workspace = new Workspace(this.#memory);
    const open = (operand: Operand) => new StoredOperand(operand);
    try {
      const exact = this.precision === 'exact';
      const run = (name: KernelName, job: Job, units: number) =>
        pool.run(name, workspace.write(new Int32Array(Object.values(job))), units);
      return kernel.wasm({ inputs: inputs.map(open), outputs: outputs.map(open), attributes, run, workspace, exact });
    } finally {
      workspace.release();
    }
  }

  flush(): void {}

  destroy(): void {
    this.#pool?.stop();
    this.#heap = undefined;
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #view(block: Block, dtype: DType): HostData {
    const { start, bytes } = heapBlock(block);
    const { buffer } = this.#memory;
    return dtype === 'int32' ? new Int32Array(buffer, start, bytes / 4) : new Float32Array(buffer, start, bytes / 4);
  }
}

function chooseThreads(wanted: number | string = Math.min(parallelism, MOST_THREADS)): number {
  const threads = Number(wanted);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
    throw new UsageError(`threads must be a whole number from 1 to ${MOST_THREADS}, not ${wanted}`);
  return threads;
}

function choosePrecision(wanted: string = 'fast'): Precision {
  const known = PRECISIONS.find((precision) => precision === wanted);
  if (!known) throw new UsageError(`precision "${wanted}" is unknown; use ${PRECISIONS.join(' or ')}`);
  return known;
}

function specOf({ shape, strides, offset, dtype }: TensorSpec): TensorSpec {
  return { shape, strides, offset, dtype };
}

function heapBlock(block: Block): HeapBlock {
  if (!(block instanceof HeapBlock)) throw new DeviceError('a tensor of another device reached the CPU device');
  return block;
}

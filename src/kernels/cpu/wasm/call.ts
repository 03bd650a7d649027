import type { DType, TensorSpec } from '../../../tensor/layout.ts';
import type { Storage } from '../../../tensor/memory.ts';
import { at, type Shape } from '../../../tensor/shape.ts';
import type { Operand } from '../../device.ts';
import { type Heap, HeapBlock } from '../heap.ts';
import type { KernelName } from './kernels.ts';

/** An operand of a WebAssembly kernel: how it lies at an address. */
export interface WasmOperand extends TensorSpec {
  readonly address: number;
  /** Where it is kept, if it outlives the call. */
  readonly storage?: Storage;
}

export class StoredOperand implements WasmOperand {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  readonly dtype: DType;
  readonly storage: Storage;

  constructor({ shape, strides, offset, dtype, storage }: Operand) {
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.dtype = dtype;
    this.storage = storage;
  }

  /** Where the storage begins; brings a constant into memory. */
  get address(): number {
    return startOf(this.storage);
  }
}

/** What a WebAssembly kernel needs of the device. */
export interface Engine {
  /** Runs a kernel over all units of a job. */
  run(kernel: KernelName, job: Job, units: number): void;
  readonly workspace: Workspace;
  /** Whether faster algorithms that round more, such as Winograd's, are forbidden. */
  readonly exact: boolean;
}

export interface WasmCall<Attributes> extends Engine {
  readonly inputs: readonly WasmOperand[];
  readonly outputs: readonly WasmOperand[];
  readonly attributes: Attributes;
}

/** Bytes of an element. */
export const FLOAT = 4;

/**
 * What a kernel is to do, in whole numbers: the fields of a class in its *.as.ts, in the same order.
 * `floatField` makes such a number of a fraction.
 */
export type Job = Readonly<Record<string, number>>;

/** The bits of a float32, for a field of type f32. */
export function floatField(value: number): number {
  return at(new Int32Array(Float32Array.of(value).buffer), 0);
}

/** Memory for the length of one call. */
export class Workspace {
  readonly #heap: Heap;
  readonly #blocks: HeapBlock[] = [];

  constructor(heap: Heap) {
    this.#heap = heap;
  }

  /** The address of so many bytes. */
  allocate(bytes: number): number {
    const block = this.#heap.allocate(bytes);
    this.#blocks.push(block);
    return block.start;
  }

  /** The address of a copy of these values. */
  write(values: Int32Array): number {
    const address = this.allocate(values.byteLength);
    new Int32Array(this.#heap.buffer, address, values.length).set(values);
    return address;
  }

  /**
   * The address of an operand's values rearranged by `fill`. Those of a constant are kept, and the constant itself, which
   * is needed only while they are made, gives its memory back.
   */
  pack({ storage: original }: WasmOperand, key: string, bytes: number, fill: (address: number) => void): number {
    if (!original?.constant) {
      const address = this.allocate(bytes);
      fill(address);
      return address;
    }
    return startOf(original.copyAs(key, bytes, (copy) => fill(startOf(copy))));
  }

  /** Gives all memory back, apart from what `pack` keeps. */
  release(): void {
    for (const block of this.#blocks) this.#heap.release(block);
  }
}

function startOf({ block }: Storage): number {
  return block instanceof HeapBlock ? block.start : 0;
}

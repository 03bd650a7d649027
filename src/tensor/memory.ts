import type { DType } from './layout.ts';

/** A piece of device memory. Only the device that made it looks inside. */
export interface Block {
  readonly bytes: number;
}

/** Elements as the host holds them; 4 bytes each. */
export type HostData = Float32Array | Int32Array;

export interface MemoryReport {
  /** Bytes in use by tensors. */
  readonly live: number;
  /** Bytes that are free but kept for reuse. */
  readonly pooled: number;
  /** Number of blocks in use. */
  readonly blocks: number;
}

/**
 * Where tensors live. Writes and kernels take effect in the order of the calls; `read` waits for all that came before it.
 * A block that was released may be handed out again at once: the device keeps the order right.
 */
export interface Memory {
  readonly name: string;
  /** Whether the device is gone, and with it everything in this memory. */
  readonly destroyed: boolean;
  /**
   * At least `bytes` bytes with undefined content. Throws a DeviceError when there is no room; a GPU may find out later,
   * and then the next `read` throws it.
   */
  allocate(bytes: number): Block;
  release(block: Block): void;
  write(block: Block, data: HostData): void;
  /** The first `length` elements of the block. */
  read(block: Block, dtype: DType, length: number): Promise<HostData>;
  memory(): MemoryReport;
}

/** A block with a count of the tensors that look at it; it goes back to its device with the last of them. */
export class Storage {
  readonly memory: Memory;
  readonly block: Block;
  /** Copies in another layout that kernels asked for, kept only for weights (see `freeze`). */
  readonly packed = new Map<string, Storage>();
  #references = 1;
  #frozen = false;

  constructor(memory: Memory, bytes: number) {
    this.memory = memory;
    this.block = memory.allocate(bytes);
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /** Promises that the content never changes again, so that copies in another layout may be kept beside it. */
  freeze(): void {
    this.#frozen = true;
  }

  retain(): this {
    this.#references += 1;
    return this;
  }

  release(): void {
    this.#references -= 1;
    if (this.#references > 0) return;
    for (const copy of this.packed.values()) copy.release();
    this.memory.release(this.block);
  }
}

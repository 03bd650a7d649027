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

/**
 * A block with a count of the tensors that look at it; it goes back to its device with the last of them.
 *
 * The storage of a constant is filled when somebody first needs its block, may lose the block in between (`evict`), and
 * has copies in the layouts of kernels beside it: where all kernels work on copies, the constant itself takes no memory.
 */
export class Storage {
  readonly memory: Memory;
  readonly bytes: number;
  /** Copies in another layout that kernels asked for; of constants only. */
  readonly #copies = new Map<string, Storage>();
  readonly #fill: ((storage: Storage) => void) | undefined;
  #block: Block | undefined;
  #references = 1;

  /** @param fill makes this a constant: writes the content, the same each time */
  constructor(memory: Memory, bytes: number, fill?: (storage: Storage) => void) {
    this.memory = memory;
    this.bytes = bytes;
    this.#fill = fill;
    if (!fill) this.#block = memory.allocate(bytes);
  }

  /** Whether the content never changes, so that copies in another layout may be kept. */
  get constant(): boolean {
    return this.#fill !== undefined;
  }

  get block(): Block {
    if (this.#block) return this.#block;
    const block = this.memory.allocate(this.bytes);
    // Before it is filled, so that a kernel can do it.
    this.#block = block;
    try {
      this.#fill?.(this);
    } catch (error) {
      this.evict();
      throw error;
    }
    return block;
  }

  /** Gives the memory of a constant back until somebody needs it again. */
  evict(): void {
    if (!this.#fill || !this.#block) return;
    this.memory.release(this.#block);
    this.#block = undefined;
  }

  /**
   * The copy of this constant that is kept under a key, a constant as well. This one is needed only while `fill` makes it,
   * and then gives its memory back.
   */
  copyAs(key: string, bytes: number, fill: (copy: Storage) => void): Storage {
    const kept = this.#copies.get(key);
    if (kept) return kept;
    const made = new Storage(this.memory, bytes, (copy) => {
      fill(copy);
      this.evict();
    });
    this.#copies.set(key, made);
    return made;
  }

  retain(): this {
    this.#references += 1;
    return this;
  }

  release(): void {
    this.#references -= 1;
    if (this.#references > 0) return;
    for (const copy of this.#copies.values()) copy.release();
    this.#copies.clear();
    if (this.#block) this.memory.release(this.#block);
    this.#block = undefined;
  }
}

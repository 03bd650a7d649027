import { DeviceError } from '../../errors.ts';
import type { Block } from '../../tensor/memory.ts';
import { at } from '../../tensor/shape.ts';

const PAGE = 65536;
/** 4 GiB, all that a 32-bit address reaches. */
const MAX_PAGES = 65536;
/** A cache line: no two blocks share one, and vector loads are aligned. */
const ALIGNMENT = 64;

/** A range of the heap, in bytes. */
export class HeapBlock implements Block {
  readonly start: number;
  readonly bytes: number;

  constructor(start: number, bytes: number) {
    this.start = start;
    this.bytes = bytes;
  }
}

/**
 * The memory of the CPU device: one WebAssembly memory, shared between threads where the host allows it, with a list of
 * free ranges. A range is taken where it fits best and merges with its free neighbours when it comes back.
 */
export class Heap {
  readonly #memory: WebAssembly.Memory;
  /** Free ranges by rising address; no two touch. */
  #free: { start: number; end: number }[] = [];
  #live = 0;
  #blocks = 0;

  constructor() {
    this.#memory = newMemory();
    // Address 0 is left out, so that no block looks like a null pointer.
    this.#free.push({ start: ALIGNMENT, end: this.#memory.buffer.byteLength });
  }

  /** For kernels that run in it. */
  get memory(): WebAssembly.Memory {
    return this.#memory;
  }

  /** Valid until the memory grows: ask again for each kernel. */
  get buffer(): ArrayBufferLike {
    return this.#memory.buffer;
  }

  get live(): number {
    return this.#live;
  }

  get blocks(): number {
    return this.#blocks;
  }

  get pooled(): number {
    return this.#free.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  allocate(bytes: number): HeapBlock {
    const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    let index = this.#bestFit(size);
    if (index < 0) {
      this.#grow(size);
      index = this.#bestFit(size);
    }
    const range = at(this.#free, index);
    const block = new HeapBlock(range.start, size);
    range.start += size;
    if (range.start === range.end) this.#free.splice(index, 1);
    this.#live += size;
    this.#blocks += 1;
    return block;
  }

  /** Memory that never comes back and is not counted: the device's own. */
  reserve(bytes: number): number {
    const { start, bytes: size } = this.allocate(bytes);
    this.#live -= size;
    this.#blocks -= 1;
    return start;
  }

  release({ start, bytes }: HeapBlock): void {
    this.#live -= bytes;
    this.#blocks -= 1;
    this.#insert(start, start + bytes);
  }

  #bestFit(size: number): number {
    let best = -1;
    let slack = Number.POSITIVE_INFINITY;
    for (const [i, { start, end }] of this.#free.entries()) {
      const left = end - start - size;
      if (left >= 0 && left < slack) {
        best = i;
        slack = left;
      }
    }
    return best;
  }

  #insert(start: number, end: number): void {
    let i = this.#free.findIndex((range) => range.start > start);
    if (i < 0) i = this.#free.length;
    this.#free.splice(i, 0, { start, end });
    this.#merge(i);
    if (i > 0) this.#merge(i - 1);
  }

  /** Joins range i with the one behind it if they touch. */
  #merge(i: number): void {
    const range = at(this.#free, i);
    const behind = this.#free[i + 1];
    if (behind?.start !== range.end) return;
    range.end = behind.end;
    this.#free.splice(i + 1, 1);
  }

  #tryToGrow(pages: number, needed: number): boolean {
    if (pages < needed) return false;
    try {
      this.#memory.grow(pages);
      return true;
    } catch {
      // Beyond 4 GiB, or the host has no more.
      return false;
    }
  }

  #grow(size: number): void {
    const end = this.#memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const tail = last?.end === end ? end - last.start : 0;
    const needed = Math.ceil((size - tail) / PAGE);
    // A sixteenth more than there is, so that a network's first run grows the memory some ten times; less where it must be.
    const generous = Math.min(Math.max(needed, Math.ceil(end / 16 / PAGE)), MAX_PAGES - end / PAGE);
    if (!this.#tryToGrow(generous, needed) && !this.#tryToGrow(needed, needed)) {
      throw new DeviceError(
        `the CPU device is out of memory: ${size} bytes more than the ${this.#live} in use do not fit; use a smaller image or batch`,
      );
    }
    this.#insert(end, this.#memory.buffer.byteLength);
  }
}

function newMemory(): WebAssembly.Memory {
  const size = { initial: 16, maximum: MAX_PAGES };
  // A page that is not cross-origin isolated may make shared memory, but cannot give it to a worker.
  if (globalThis.crossOriginIsolated === false) return new WebAssembly.Memory(size);
  try {
    return new WebAssembly.Memory({ ...size, shared: true });
  } catch {
    // A host that cannot reserve the address space.
    return new WebAssembly.Memory(size);
  }
}

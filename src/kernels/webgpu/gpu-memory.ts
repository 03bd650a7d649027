import { DeviceError } from '../../errors.ts';
import type { Block, MemoryReport } from '../../tensor/memory.ts';
import type { ByteRange } from './parts.ts';

/** GPUBufferUsage of the WebGPU specification; Node has no such global. */
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const UNIFORM = 0x40;
const STORAGE = 0x80;
export const BUFFER_USAGE = { MAP_READ, COPY_SRC, COPY_DST, UNIFORM, STORAGE };

/** A buffer on the GPU. Whoever is handed it again gets the same one. */
export class GpuBlock implements Block {
  static #count = 0;
  /** Tells blocks apart, in keys. */
  readonly id = GpuBlock.#count++;
  readonly bytes: number;
  readonly buffer: GPUBuffer;
  /** For a bind group: all of it. */
  readonly resource: GPUBufferBinding;

  constructor(bytes: number, buffer: GPUBuffer) {
    this.bytes = bytes;
    this.buffer = buffer;
    this.resource = { buffer };
  }
}

/** What a shader sees of a block: all of it, or a part. */
export interface Bound {
  /** Tells them apart, in keys. */
  readonly id: number | string;
  readonly buffer: GPUBuffer;
  readonly resource: GPUBufferBinding;
}

/** A part of a block. */
export function boundPart({ id, buffer, bytes }: GpuBlock, { from, to }: ByteRange): Bound {
  const size = Math.min(to, bytes) - from;
  return { id: `${id}+${from}:${size}`, buffer, resource: { buffer, offset: from, size } };
}

/** Free bytes that are kept at most; what comes back beyond it goes to the driver. */
const MOST_POOLED = 512 * 2 ** 20;

/**
 * Buffers by size class, reused from run to run. Commands of one queue run in order, so a buffer may be handed out again
 * as soon as it is released, even when commands that use it have not run yet.
 */
export class BufferPool {
  readonly #device: GPUDevice;
  /** Bytes of the largest buffer. Asking the driver for its limits takes longer than handing out a buffer. */
  readonly #limit: number;
  /** By size, the oldest last, which is handed out first: then equal work gets equal blocks, and bind groups are reused. */
  readonly #free = new Map<number, GpuBlock[]>();
  #live = 0;
  #pooled = 0;
  #blocks = 0;
  readonly #bindingBytes: number;

  /** @param bindingBytes what of a buffer a shader may see at once */
  constructor(device: GPUDevice, bindingBytes: number) {
    this.#device = device;
    this.#limit = device.limits.maxBufferSize;
    this.#bindingBytes = bindingBytes;
  }

  allocate(bytes: number): GpuBlock {
    const limit = this.#limit;
    if (bytes > limit) {
      throw new DeviceError(
        `a tensor of ${bytes} bytes is larger than the largest buffer of this adapter, ${limit} bytes; use a smaller image or batch, or the device cpu`,
      );
    }
    // What can be bound whole has to stay so.
    const size = sizeClass(bytes, bytes <= this.#bindingBytes ? this.#bindingBytes : limit);
    const reused = this.#free.get(size)?.pop();
    if (reused) this.#pooled -= size;
    this.#live += size;
    this.#blocks += 1;
    return reused ?? new GpuBlock(size, this.#create(size));
  }

  #create(size: number): GPUBuffer {
    const label = `a tensor of up to ${size} bytes`;
    return this.#device.createBuffer({ label, size, usage: STORAGE | COPY_SRC | COPY_DST });
  }

  /** Whether a buffer of this size would be destroyed on its release. */
  isFull(bytes: number): boolean {
    return this.#pooled + bytes > MOST_POOLED;
  }

  release(block: GpuBlock): void {
    const { bytes, buffer } = block;
    this.#live -= bytes;
    this.#blocks -= 1;
    if (this.isFull(bytes)) {
      buffer.destroy();
      return;
    }
    this.#pooled += bytes;
    const free = this.#free.get(bytes) ?? [];
    const younger = free.filter(({ id }) => id > block.id).length;
    free.splice(younger, 0, block);
    this.#free.set(bytes, free);
  }

  report(): MemoryReport {
    return { live: this.#live, pooled: this.#pooled, blocks: this.#blocks };
  }
}

/** Four size classes for each power of two: at most a fifth of a buffer is unused. */
function sizeClass(bytes: number, limit: number): number {
  const needed = Math.max(bytes, 256);
  const step = 2 ** Math.max(6, Math.floor(Math.log2(needed)) - 2);
  return Math.min(Math.ceil(needed / step) * step, limit - (limit % 4));
}

import { DeviceError } from '../../errors.ts';
import type { DType, TensorSpec } from '../../tensor/layout.ts';
import type { Block, HostData, MemoryReport } from '../../tensor/memory.ts';
import type { Device, HostOperand, Kernel, Operand } from '../device.ts';
import { Heap, HeapBlock } from './heap.ts';

/** The CPU device: kernels run at once, on the thread that calls. */
export class CpuDevice implements Device {
  readonly kind = 'cpu';
  readonly name = 'cpu';
  #heap: Heap | undefined = new Heap();

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
    const open = (operand: Operand): HostOperand => ({
      ...specOf(operand),
      data: this.#view(operand.block, operand.dtype),
    });
    kernel.host({ inputs: inputs.map(open), outputs: outputs.map(open), attributes });
  }

  flush(): void {}

  destroy(): void {
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

function specOf({ shape, strides, offset, dtype }: TensorSpec): TensorSpec {
  return { shape, strides, offset, dtype };
}

function heapBlock(block: Block): HeapBlock {
  if (!(block instanceof HeapBlock)) throw new DeviceError('a tensor of another device reached the CPU device');
  return block;
}

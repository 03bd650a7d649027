import type { DType } from '../../tensor/layout.ts';
import type { Block, HostData, MemoryReport } from '../../tensor/memory.ts';
import type { Device, Kernel, Operand } from '../device.ts';

/** A WebGPU device that only shows what it is told to run. What is read from it is 0. */
export class DryDevice implements Device {
  readonly kind = 'webgpu';
  readonly prepacks = false;
  readonly name = 'dry run';
  /** There is nothing to be lost. */
  readonly destroyed = true;
  readonly #show: Device['run'];

  constructor(show: Device['run']) {
    this.#show = show;
  }

  run<Attributes>(
    kernel: Kernel<Attributes>,
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    attributes: Attributes,
  ): void {
    // Constants are filled when they are first looked at, by kernels of their own.
    for (const { storage } of [...inputs, ...outputs]) void storage.block;
    this.#show(kernel, inputs, outputs, attributes);
  }

  allocate(bytes: number): Block {
    return { bytes };
  }

  async read(_block: Block, dtype: DType, length: number): Promise<HostData> {
    return dtype === 'int32' ? new Int32Array(length) : new Float32Array(length);
  }

  memory(): MemoryReport {
    return { live: 0, pooled: 0, blocks: 0 };
  }

  release(): void {}
  write(): void {}
  flush(): void {}
  destroy(): void {}
}

import { DeviceError, messageOf } from '../../errors.ts';
import type { DType } from '../../tensor/layout.ts';
import type { Block, HostData, MemoryReport } from '../../tensor/memory.ts';
import { at } from '../../tensor/shape.ts';
import type { Device, Kernel, Operand } from '../device.ts';
import { BUFFER_USAGE, BufferPool, GpuBlock } from './gpu-memory.ts';
import type { Uniform, WgslProgram } from './program.ts';
import type { Settle } from './settle.ts';
import type { ShaderTarget } from './tiles.ts';

/** Uniforms of one submit. A dispatch takes a slice of it, aligned as WebGPU demands. */
const UNIFORM_BYTES = 64 * 1024;

interface Host {
  readonly target: ShaderTarget;
  /** How this host waits for the GPU. */
  readonly settle: Settle;
  /** Lets go of what keeps the device alive (in Node, the `webgpu` package's instance). */
  readonly onDestroy: () => void;
}

/** A WebGPU device: kernels are recorded into one command buffer until somebody reads. */
export class WebGpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly prepacks = false;
  readonly name: string;
  readonly gpu: GPUDevice;
  readonly adapterInfo: GPUAdapterInfo;
  readonly target: ShaderTarget;
  readonly #pool: BufferPool;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #uniformBuffer: GPUBuffer;
  readonly #uniformBytes = new DataView(new ArrayBuffer(UNIFORM_BYTES));
  readonly #uniformAlignment: number;
  #uniformEnd = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #fault: DeviceError | undefined;
  #destroyed = false;
  readonly #settle: Settle;
  /** Buffers that the commands recorded so far read or write. */
  readonly #touched = new Set<GPUBuffer>();
  readonly #onDestroy: () => void;

  constructor(gpu: GPUDevice, adapterInfo: GPUAdapterInfo, { target, settle, onDestroy }: Host) {
    this.#settle = settle;
    this.gpu = gpu;
    this.adapterInfo = adapterInfo;
    this.target = target;
    this.name = `webgpu (${adapterInfo.description || adapterInfo.device || adapterInfo.vendor || 'unnamed adapter'})`;
    this.#onDestroy = onDestroy;
    this.#pool = new BufferPool(gpu);
    this.#uniformAlignment = gpu.limits.minUniformBufferOffsetAlignment;
    this.#uniformBuffer = gpu.createBuffer({
      size: UNIFORM_BYTES,
      usage: BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
    });
    gpu.addEventListener('uncapturederror', (event) => {
      const { error } = event;
      event.preventDefault();
      this.#fault ??= new DeviceError(`${this.name}: ${messageOf(error.message)}`);
    });
    void gpu.lost.then(({ reason, message }) => {
      this.#fault ??= new DeviceError(
        `${this.name} is ${reason === 'destroyed' ? 'destroyed' : `lost: ${messageOf(message)}`}; create a new device`,
      );
    });
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  allocate(bytes: number): Block {
    return this.#pool.allocate(bytes);
  }

  release(block: Block): void {
    // The pool may give the buffer back to the driver, and then no unsubmitted command may name it.
    if (this.#pool.isFull(block.bytes)) this.flush();
    this.#pool.release(gpuBlock(block));
  }

  write(block: Block, data: HostData): void {
    if (data.byteLength === 0) return;
    const { buffer } = gpuBlock(block);
    // A write runs before everything that is submitted later, so what was recorded with this buffer has to go first.
    if (this.#touched.has(buffer)) this.flush();
    this.gpu.queue.writeBuffer(buffer, 0, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  }

  async read(block: Block, dtype: DType, length: number): Promise<HostData> {
    const bytes = 4 * length;
    this.#check();
    if (bytes === 0) return dtype === 'int32' ? new Int32Array(0) : new Float32Array(0);
    const staging = this.gpu.createBuffer({ size: bytes, usage: BUFFER_USAGE.MAP_READ | BUFFER_USAGE.COPY_DST });
    try {
      this.#endPass();
      this.#recording().copyBufferToBuffer(gpuBlock(block).buffer, 0, staging, 0, bytes);
      this.flush();
      await this.#settle(staging.mapAsync(BUFFER_USAGE.MAP_READ));
      this.#check();
      const copy = staging.getMappedRange().slice(0);
      return dtype === 'int32' ? new Int32Array(copy) : new Float32Array(copy);
    } catch (error) {
      throw this.#fault ?? new DeviceError(`${this.name}: reading ${bytes} bytes failed: ${messageOf(error)}`);
    } finally {
      staging.destroy();
    }
  }

  memory(): MemoryReport {
    return this.#pool.report();
  }

  run<Attributes>(
    kernel: Kernel<Attributes>,
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    attributes: Attributes,
  ): void {
    const { target } = this;
    for (const program of kernel.webgpu({ inputs, outputs, attributes, target })) {
      this.#dispatch(program, inputs, outputs);
    }
  }

  flush(): void {
    if (!this.#encoder) return;
    this.#endPass();
    const commands = this.#encoder.finish();
    this.#encoder = undefined;
    this.#touched.clear();
    if (this.#uniformEnd > 0) {
      this.gpu.queue.writeBuffer(this.#uniformBuffer, 0, this.#uniformBytes.buffer, 0, this.#uniformEnd);
      this.#uniformEnd = 0;
    }
    this.gpu.queue.submit([commands]);
  }

  destroy(): void {
    this.#destroyed = true;
    this.#encoder = undefined;
    this.gpu.destroy();
    // Not before the loss is settled: Dawn still polls for it, and crashes on an instance that was collected meanwhile.
    void this.gpu.lost.then(this.#onDestroy);
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  #check(): void {
    if (this.#fault) throw this.#fault;
  }

  #dispatch(program: WgslProgram, inputs: readonly Operand[], outputs: readonly Operand[]): void {
    const pipeline = this.#pipeline(program);
    const entries = program.bindings.map(({ operand }, binding) => {
      const { storage } = 'input' in operand ? at(inputs, operand.input) : at(outputs, operand.output);
      return { binding, resource: { buffer: gpuBlock(storage.block).buffer } };
    });
    if (program.uniforms.length > 0) {
      const { offset, size } = this.#writeUniforms(program.uniforms);
      entries.push({
        binding: entries.length,
        resource: { buffer: this.#uniformBuffer, offset, size } as GPUBufferBinding,
      });
    }
    const group = this.gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const encoder = this.#recording();
    for (const { storage } of [...inputs, ...outputs]) this.#touched.add(gpuBlock(storage.block).buffer);
    this.#pass ??= encoder.beginComputePass();
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, group);
    this.#pass.dispatchWorkgroups(...program.workgroups);
  }

  #pipeline(program: WgslProgram): GPUComputePipeline {
    const existing = this.#pipelines.get(program.key);
    if (existing) return existing;
    const code = `${declarations(program)}\n${program.code()}`;
    const module = this.gpu.createShaderModule({ label: program.key, code });
    const pipeline = this.gpu.createComputePipeline({
      label: program.key,
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    });
    this.#pipelines.set(program.key, pipeline);
    return pipeline;
  }

  #writeUniforms(uniforms: readonly Uniform[]): { offset: number; size: number } {
    const size = Math.ceil((4 * uniforms.length) / 16) * 16;
    if (this.#uniformEnd + size > UNIFORM_BYTES) this.flush();
    const offset = this.#uniformEnd;
    for (const [i, [, type, value]] of uniforms.entries()) {
      const address = offset + 4 * i;
      if (type === 'f32') this.#uniformBytes.setFloat32(address, value, true);
      else this.#uniformBytes.setInt32(address, value, true);
    }
    this.#uniformEnd = Math.ceil((offset + size) / this.#uniformAlignment) * this.#uniformAlignment;
    return { offset, size };
  }

  #recording(): GPUCommandEncoder {
    this.#encoder ??= this.gpu.createCommandEncoder();
    return this.#encoder;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }
}

function gpuBlock(block: Block): GpuBlock {
  if (!(block instanceof GpuBlock)) throw new DeviceError('a tensor of another device reached the WebGPU device');
  return block;
}

/** The extensions, the bindings and the uniforms of a shader, in the order in which the bind group lists them. */
function declarations({ extensions = [], bindings, uniforms }: WgslProgram): string {
  const enabled = extensions.map((name) => `enable ${name};`);
  const storage = bindings.map(
    ({ name, type, operand }, i) =>
      `@group(0) @binding(${i}) var<storage, ${'input' in operand ? 'read' : 'read_write'}> ${name}: array<${type}>;`,
  );
  const head = [...enabled, ...storage].join('\n');
  if (uniforms.length === 0) return head;
  const fields = uniforms.map(([name, type]) => `  ${name}: ${type},`).join('\n');
  return `${head}
struct Uniforms {
${fields}
}
@group(0) @binding(${bindings.length}) var<uniform> u: Uniforms;`;
}

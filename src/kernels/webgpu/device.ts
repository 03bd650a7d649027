import { DeviceError, messageOf } from '../../errors.ts';
import type { DType } from '../../tensor/layout.ts';
import type { Block, HostData, MemoryReport } from '../../tensor/memory.ts';
import { at } from '../../tensor/shape.ts';
import type { Device, Kernel, Operand } from '../device.ts';
import { type Bound, BUFFER_USAGE, BufferPool, boundPart, GpuBlock } from './gpu-memory.ts';
import { ALIGNMENT, type Runner, rangeOf, runCall } from './parts.ts';
import { Pipelines } from './pipelines.ts';
import {
  MOST_UNIFORMS,
  type Packed,
  type ProgramOperand,
  type Scratch,
  type Uniform,
  type WgslProgram,
} from './program.ts';
import type { Settle } from './settle.ts';
import type { ShaderTarget } from './tiles.ts';

/** Uniforms of one submit. A dispatch takes a slice of it: 256 bytes, which every adapter can align to. */
const UNIFORM_BYTES = 256 * 1024;
const SLICE_BYTES = 4 * MOST_UNIFORMS;

/** More bind groups are not kept. A pass of a network needs some hundreds. */
const MOST_BIND_GROUPS = 4096;

interface Host {
  readonly target: ShaderTarget;
  /** What of a buffer a shader may see at once, in bytes: all that the adapter allows when left out. */
  readonly bindingBytes?: number;
  /** How this host waits for the GPU. */
  readonly settle: Settle;
  /** Lets go of what keeps the device alive (in Node, the `webgpu` package's instance). */
  readonly onDestroy: () => void;
}

/** How far a warm-up is. */
export interface WarmupProgress {
  /** Kernels that are ready, of those that were not at the beginning. */
  readonly done: number;
  readonly total: number;
  /** What is ready now. */
  readonly kernel: string;
}

/** A WebGPU device: kernels are recorded into one command buffer until somebody reads. */
export class WebGpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly prepacks = false;
  readonly name: string;
  readonly gpu: GPUDevice;
  readonly adapterInfo: GPUAdapterInfo;
  readonly target: ShaderTarget;
  /** What of a buffer a shader may see at once, a multiple of 256. */
  readonly bindingBytes: number;
  readonly #runner: Runner;
  readonly #pool: BufferPool;
  readonly #pipelines: Pipelines;
  /** By layout and blocks: the pool hands out the same blocks from run to run. */
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #uniformBuffer: GPUBuffer;
  readonly #uniformGroup: GPUBindGroup;
  readonly #uniformBytes = new ArrayBuffer(UNIFORM_BYTES);
  readonly #uniformIntegers = new Int32Array(this.#uniformBytes);
  readonly #uniformFloats = new Float32Array(this.#uniformBytes);
  #uniformEnd = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  #pipelineOfPass: GPUComputePipeline | undefined;
  /** The first thing that went wrong. All commands of its submit are dropped, so no result after it can be trusted. */
  #fault: DeviceError | undefined;
  #destroyed = false;
  /** For the error of a device that is lost. */
  #lastProgram = '';
  readonly #settle: Settle;
  /** Buffers that the commands recorded so far read or write. */
  readonly #touched = new Set<GPUBuffer>();
  readonly #onDestroy: () => void;

  constructor(gpu: GPUDevice, adapterInfo: GPUAdapterInfo, host: Host) {
    const { target, settle, onDestroy } = host;
    const { bindingBytes = gpu.limits.maxStorageBufferBindingSize } = host;
    this.#settle = settle;
    this.gpu = gpu;
    this.adapterInfo = adapterInfo;
    this.target = target;
    this.bindingBytes = bindingBytes - (bindingBytes % ALIGNMENT);
    this.#runner = {
      target,
      bindingBytes: this.bindingBytes,
      memory: this,
      dispatch: (programs, inputs, outputs, ranged) => this.#dispatch(programs, inputs, outputs, ranged),
      run: (kernel, inputs, outputs, attributes) => this.run(kernel, inputs, outputs, attributes),
    };
    this.name = `webgpu (${adapterInfo.description || adapterInfo.device || adapterInfo.vendor || 'unnamed adapter'})`;
    this.#onDestroy = onDestroy;
    this.#pool = new BufferPool(gpu, this.bindingBytes);
    this.#uniformBuffer = gpu.createBuffer({
      size: UNIFORM_BYTES,
      usage: BUFFER_USAGE.UNIFORM | BUFFER_USAGE.COPY_DST,
    });
    this.#pipelines = new Pipelines(gpu, target.shapes ?? 'any');
    const slice = { buffer: this.#uniformBuffer, size: SLICE_BYTES };
    this.#uniformGroup = gpu.createBindGroup({
      layout: this.#pipelines.uniforms,
      entries: [{ binding: 0, resource: slice }],
    });
    gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      const { error } = event;
      const advice =
        error.constructor.name === 'GPUOutOfMemoryError' ? ' and use a smaller image or batch, or the device cpu' : '';
      this.#fault ??= new DeviceError(`${this.name}: ${messageOf(error.message)}; create a new device${advice}`);
    });
    void gpu.lost.then(({ reason, message }) => {
      const last = this.#lastProgram && ` after ${this.#lastProgram}`;
      const what = reason === 'destroyed' ? 'destroyed' : `lost${last}: ${messageOf(message)}`;
      this.#fault ??= new DeviceError(`${this.name} is ${what}; create a new device`);
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
    if (this.#pool.isFull(block.bytes)) {
      this.flush();
      this.#bindGroups.clear();
    }
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
    runCall({ kernel, inputs, outputs, attributes }, this.#runner);
  }

  /** @param ranged see `Runner` */
  #dispatch(
    programs: readonly WgslProgram[],
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    ranged: boolean,
  ): void {
    const scratch = new Map<string, GpuBlock>();
    const bind = (operand: Operand): Bound => {
      const block = gpuBlock(operand.storage.block);
      return ranged ? boundPart(block, rangeOf(operand)) : block;
    };
    const block = (operand: ProgramOperand): Bound => {
      if ('input' in operand) return bind(at(inputs, operand.input));
      if ('output' in operand) return bind(at(outputs, operand.output));
      if ('packed' in operand) return this.#packed(operand.packed, at(inputs, operand.packed.input), bind, scratch);
      return this.#scratch(operand.scratch, scratch);
    };
    try {
      for (const program of programs) {
        const blocks = program.bindings.map(({ operand }) => block(operand));
        this.#record(program, blocks, program.workgroups);
      }
    } finally {
      for (const block of scratch.values()) this.release(block);
    }
  }

  /** The memory of this name for the call that `scratch` belongs to. */
  #scratch({ name, bytes }: Pick<Scratch, 'name' | 'bytes'>, scratch: Map<string, GpuBlock>): GpuBlock {
    const block = scratch.get(name) ?? this.#pool.allocate(bytes);
    scratch.set(name, block);
    return block;
  }

  /** @param bind what the program that packs sees of an operand */
  #packed(
    { input, bytes, program }: Packed,
    operand: Operand,
    bind: (operand: Operand) => Bound,
    scratch: Map<string, GpuBlock>,
  ): GpuBlock {
    const { storage, offset } = operand;
    const key = `${program.key} ${program.uniforms.map(([, , value]) => value)}${offset > 0 ? ` from ${offset}` : ''}`;
    const pack = (to: GpuBlock) => this.#record(program, [bind(operand), to], program.workgroups);
    if (storage.constant) {
      return gpuBlock(storage.copyAs(key, bytes, (copy) => pack(gpuBlock(copy.block))).block);
    }
    const name = `input ${input}, ${key}`;
    const made = scratch.has(name);
    const block = this.#scratch({ name, bytes }, scratch);
    if (!made) pack(block);
    return block;
  }

  /**
   * Compiles programs beside each other, and has each of them run once: some drivers put most of the work off until then.
   * @throws DeviceError when the driver refuses one
   */
  async compile(programs: readonly WgslProgram[], onProgress: (progress: WarmupProgress) => void): Promise<void> {
    const missing = programs.filter((program) => !this.#pipelines.has(program));
    const total = missing.length;
    let done = 0;
    const compile = async (program: WgslProgram) => {
      try {
        await this.#settle(this.#pipelines.compile(program));
        await this.#rehearse(program);
      } catch (error) {
        throw this.#fault ?? new DeviceError(`${this.name}: ${program.key} does not compile: ${messageOf(error)}`);
      }
      done += 1;
      onProgress({ done, total, kernel: program.key });
    };
    await Promise.all(missing.map(compile));
  }

  /** One workgroup on scratch memory: what lies beyond its end, WebGPU neither reads nor writes. */
  async #rehearse(program: WgslProgram): Promise<void> {
    const scratch = program.bindings.map(() => this.#pool.allocate(1));
    this.#record(program, scratch, [1, 1, 1]);
    for (const block of scratch) this.release(block);
    this.flush();
    await this.#settle(this.gpu.queue.onSubmittedWorkDone());
    this.#check();
  }

  flush(): void {
    if (!this.#encoder) return;
    this.#endPass();
    const commands = this.#encoder.finish();
    this.#encoder = undefined;
    this.#touched.clear();
    if (this.#uniformEnd > 0) {
      this.gpu.queue.writeBuffer(this.#uniformBuffer, 0, this.#uniformBytes, 0, this.#uniformEnd);
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

  #record(program: WgslProgram, blocks: readonly Bound[], workgroups: WgslProgram['workgroups']): void {
    const { pipeline, storage, readsUniforms } = this.#pipelines.get(program);
    const group = this.#bindGroup(storage, blocks);
    const offset = readsUniforms ? this.#writeUniforms(program.uniforms) : 0;
    const encoder = this.#recording();
    for (const { buffer } of blocks) this.#touched.add(buffer);
    this.#pass ??= encoder.beginComputePass();
    if (pipeline !== this.#pipelineOfPass) this.#pass.setPipeline(pipeline);
    this.#pipelineOfPass = pipeline;
    this.#pass.setBindGroup(0, group);
    this.#pass.setBindGroup(1, this.#uniformGroup, [offset]);
    this.#pass.dispatchWorkgroups(...workgroups);
    this.#lastProgram = program.key;
  }

  #bindGroup(layout: GPUBindGroupLayout, blocks: readonly Bound[]): GPUBindGroup {
    const key = `${layout.label} ${blocks.map(({ id }) => id).join()}`;
    const known = this.#bindGroups.get(key);
    if (known) return known;
    if (this.#bindGroups.size === MOST_BIND_GROUPS) this.#bindGroups.clear();
    const entries = blocks.map(({ resource }, binding) => ({ binding, resource }));
    const group = this.gpu.createBindGroup({ label: layout.label, layout, entries });
    this.#bindGroups.set(key, group);
    return group;
  }

  /** @returns where the slice begins */
  #writeUniforms(uniforms: readonly Uniform[]): number {
    if (uniforms.length === 0) return 0;
    if (this.#uniformEnd === UNIFORM_BYTES) this.flush();
    const offset = this.#uniformEnd;
    let i = offset / 4;
    for (const [, type, value] of uniforms) {
      if (type === 'f32') this.#uniformFloats[i++] = value;
      else this.#uniformIntegers[i++] = value;
    }
    this.#uniformEnd += SLICE_BYTES;
    return offset;
  }

  #recording(): GPUCommandEncoder {
    this.#encoder ??= this.gpu.createCommandEncoder();
    return this.#encoder;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#pipelineOfPass = undefined;
  }
}

function gpuBlock(block: Block): GpuBlock {
  if (!(block instanceof GpuBlock)) throw new DeviceError('a tensor of another device reached the WebGPU device');
  return block;
}

import type { Settle } from '../../src/kernels/webgpu/settle.ts';

/* What an adapter can do at most, measured by kernels that do nothing else. */

export interface Ceilings {
  /** Multiply-adds on registers, GFLOP/s. */
  readonly gflops: number;
  /** Copying between buffers by a kernel, GB/s read and written. */
  readonly gigabytesPerSecond: number;
  /** Of an empty dispatch among many in one pass, with everything cached, µs. */
  readonly dispatchMicroseconds: number;
  /** The part of it that the host takes to record it, µs. */
  readonly recordMicroseconds: number;
  /** From a submit to four bytes on the host, µs. */
  readonly readbackMicroseconds: number;
}

const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const STORAGE = 0x80;

const MOST_ROUNDS = 7;
const THREADS = 64;
const FMA_WORKGROUPS = 256;
const FMA_ITERATIONS = 2048;
/** Independent sums of a thread: enough to hide the latency of an addition, and few enough for registers; the best counts. */
const SUMS = [4, 8, 16, 32];
/** More than the caches of any GPU hold, and less than the smallest limit on a binding. */
const COPY_BYTES = 64 * 2 ** 20;
const DISPATCHES = 1000;

export async function measureCeilings(gpu: GPUDevice, settle: Settle, rounds: number): Promise<Ceilings> {
  const bench = new Bench(gpu, settle, Math.min(MOST_ROUNDS, rounds));
  try {
    let gflops = 0;
    for (const sums of SUMS) gflops = Math.max(gflops, await bench.multiplyAdds(sums));
    const gigabytesPerSecond = await bench.copy();
    const readbackMicroseconds = 1e3 * (await bench.best(async () => bench.finish()));
    return { gflops, gigabytesPerSecond, ...(await bench.dispatches()), readbackMicroseconds };
  } finally {
    bench.destroy();
  }
}

class Bench {
  readonly #gpu: GPUDevice;
  readonly #settle: Settle;
  readonly #rounds: number;
  readonly #buffers: GPUBuffer[] = [];
  readonly #result: GPUBuffer;
  readonly #staging: GPUBuffer;

  constructor(gpu: GPUDevice, settle: Settle, rounds: number) {
    this.#gpu = gpu;
    this.#settle = settle;
    this.#rounds = rounds;
    this.#result = this.#buffer(4 * THREADS * FMA_WORKGROUPS, STORAGE | COPY_SRC);
    this.#staging = this.#buffer(4, MAP_READ | COPY_DST);
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  /** GFLOP/s */
  async multiplyAdds(sums: number): Promise<number> {
    const each = (line: (i: number) => string) => Array.from({ length: sums }, (_, i) => line(i)).join('\n');
    const run = this.#kernel(
      [this.#result],
      `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  // Neither is known to the compiler, and the sums stay finite.
  let scale = 0.5 + y[id.x] * 0.0001;
  let shift = f32(id.x) * 0.001;
${each((i) => `  var sum${i} = shift + ${i}.0;`)}
  for (var i = 0u; i < ${FMA_ITERATIONS}u; i++) {
${each((i) => `    sum${i} = sum${i} * scale + shift;`)}
  }
  y[id.x] = clamp(${Array.from({ length: sums }, (_, i) => `sum${i}`).join(' + ')}, 0.0, 1.0);
}`,
      FMA_WORKGROUPS,
    );
    const milliseconds = await this.best(() => this.finish(run));
    return (2 * sums * FMA_ITERATIONS * THREADS * FMA_WORKGROUPS) / milliseconds / 1e6;
  }

  /** GB/s */
  async copy(): Promise<number> {
    const buffers = [this.#buffer(COPY_BYTES, STORAGE), this.#buffer(COPY_BYTES, STORAGE)];
    const workgroups = COPY_BYTES / 16 / THREADS / 4;
    const run = this.#kernel(
      buffers,
      `@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * ${4 * THREADS}u + thread;
  for (var i = 0u; i < 4u; i++) { y[first + i * ${THREADS}u] = x[first + i * ${THREADS}u]; }
}`,
      workgroups,
    );
    const milliseconds = await this.best(() => this.finish(run));
    return (2 * COPY_BYTES) / milliseconds / 1e6;
  }

  async dispatches(): Promise<Pick<Ceilings, 'dispatchMicroseconds' | 'recordMicroseconds'>> {
    const run = this.#kernel(
      [this.#result],
      `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { if (y[0] == 12345.0) { y[0] = 0.0; } }`,
      1,
    );
    const many = (pass: GPUComputePassEncoder) => {
      for (let i = 0; i < DISPATCHES; i++) run(pass);
    };
    let record = Number.POSITIVE_INFINITY;
    const total = await this.best(async () => {
      const start = performance.now();
      const done = this.finish(many);
      record = Math.min(record, performance.now() - start);
      await done;
    });
    const perDispatch = (milliseconds: number) => (1e3 * milliseconds) / DISPATCHES;
    return { dispatchMicroseconds: perDispatch(total), recordMicroseconds: perDispatch(record) };
  }

  /** Submits, and waits for four bytes of the result. */
  async finish(record?: (pass: GPUComputePassEncoder) => void): Promise<void> {
    const encoder = this.#gpu.createCommandEncoder();
    if (record) {
      const pass = encoder.beginComputePass();
      record(pass);
      pass.end();
    }
    encoder.copyBufferToBuffer(this.#result, 0, this.#staging, 0, 4);
    this.#gpu.queue.submit([encoder.finish()]);
    await this.#settle(this.#staging.mapAsync(MAP_READ));
    this.#staging.unmap();
  }

  /** Milliseconds of the fastest of some runs, after one that compiles. */
  async best(run: () => Promise<void>): Promise<number> {
    await run();
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < this.#rounds; round++) {
      const start = performance.now();
      await run();
      best = Math.min(best, performance.now() - start);
    }
    return best;
  }

  #buffer(size: number, usage: number): GPUBuffer {
    const buffer = this.#gpu.createBuffer({ size, usage });
    this.#buffers.push(buffer);
    return buffer;
  }

  #kernel(buffers: readonly GPUBuffer[], code: string, workgroups: number): (pass: GPUComputePassEncoder) => void {
    const module = this.#gpu.createShaderModule({ code });
    const pipeline = this.#gpu.createComputePipeline({ layout: 'auto', compute: { module } });
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const group = this.#gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(workgroups);
    };
  }
}

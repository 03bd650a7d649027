/* GPU time by timestamps: of all compute passes that a device records, whoever records them. */

/** GPUBufferUsage and GPUMapMode of the specification; Node has no such globals. */
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const QUERY_RESOLVE = 0x200;

/** Passes between two readings; more are not timed. */
const MOST_PASSES = 64;
const BYTES = 16 * MOST_PASSES;
const STEP_SAMPLES = 16;

type Settle = <T>(promise: Promise<T>) => Promise<T>;

export class PassTimer {
  readonly #gpu: GPUDevice;
  readonly #settle: Settle;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  #passes = 0;

  /** @param gpu a device with the feature `timestamp-query`; from now on its passes write timestamps */
  constructor(gpu: GPUDevice, settle: Settle) {
    this.#gpu = gpu;
    this.#settle = settle;
    this.#queries = gpu.createQuerySet({ type: 'timestamp', count: 2 * MOST_PASSES });
    this.#resolved = gpu.createBuffer({ size: BYTES, usage: QUERY_RESOLVE | COPY_SRC });
    this.#staging = gpu.createBuffer({ size: BYTES, usage: MAP_READ | COPY_DST });
    const createEncoder = gpu.createCommandEncoder.bind(gpu);
    gpu.createCommandEncoder = (descriptor) => {
      const encoder = createEncoder(descriptor);
      const beginPass = encoder.beginComputePass.bind(encoder);
      encoder.beginComputePass = (pass) => beginPass({ ...pass, ...this.#next() });
      return encoder;
    };
  }

  #next(): Pick<GPUComputePassDescriptor, 'timestampWrites'> {
    if (this.#passes === MOST_PASSES) return {};
    const first = 2 * this.#passes++;
    return {
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: first,
        endOfPassWriteIndex: first + 1,
      },
    };
  }

  /**
   * Nanoseconds between timestamps that differ: some browsers round them, so that pages cannot measure each other. It is the
   * greatest common divisor of many.
   */
  async step(): Promise<number> {
    let step = 0n;
    for (let sample = 0; sample < STEP_SAMPLES; sample++) {
      const encoder = this.#gpu.createCommandEncoder();
      encoder.beginComputePass().end();
      this.#gpu.queue.submit([encoder.finish()]);
      for (const stamp of await this.#stamps()) step = commonDivisor(step, stamp);
    }
    return Number(step);
  }

  /** Milliseconds in all passes since the last reading. */
  async take(): Promise<number> {
    const stamps = await this.#stamps();
    let nanoseconds = 0;
    for (let i = 0; i < stamps.length; i += 2) nanoseconds += Number((stamps[i + 1] ?? 0n) - (stamps[i] ?? 0n));
    return nanoseconds / 1e6;
  }

  /** Beginning and end of each pass since the last reading. */
  async #stamps(): Promise<BigInt64Array> {
    const count = 2 * this.#passes;
    this.#passes = 0;
    if (count === 0) return new BigInt64Array(0);
    const encoder = this.#gpu.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 8 * count);
    this.#gpu.queue.submit([encoder.finish()]);
    await this.#settle(this.#staging.mapAsync(MAP_READ));
    const stamps = new BigInt64Array(this.#staging.getMappedRange().slice(0, 8 * count));
    this.#staging.unmap();
    return stamps;
  }
}

function commonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : commonDivisor(b, a % b);
}

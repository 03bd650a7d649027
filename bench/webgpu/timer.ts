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

/** Milliseconds over which timestamps are held against the host's clock, and how far the two may be apart. */
const CLOCK_CHECK = 100;
const CLOCK_FACTOR = 4;

type Settle = <T>(promise: Promise<T>) => Promise<T>;

/** GPU time of the passes between two readings. */
export interface PassTime {
  readonly milliseconds: number;
  readonly passes: number;
}

export class PassTimer {
  readonly #gpu: GPUDevice;
  readonly #settle: Settle;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #staging: GPUBuffer;
  #passes = 0;

  /** Nanoseconds between timestamps that differ. */
  readonly step: number;

  private constructor(gpu: GPUDevice, settle: Settle, step: number) {
    this.#gpu = gpu;
    this.#settle = settle;
    this.step = step;
    this.#queries = gpu.createQuerySet({ type: 'timestamp', count: 2 * MOST_PASSES });
    this.#resolved = gpu.createBuffer({ size: BYTES, usage: QUERY_RESOLVE | COPY_SRC });
    this.#staging = gpu.createBuffer({ size: BYTES, usage: MAP_READ | COPY_DST });
  }

  /**
   * From now on, the passes of a device write timestamps.
   * @returns undefined where it has none, or they are not nanoseconds: some hosts hand out the ticks of the GPU
   */
  static async open(gpu: GPUDevice, settle: Settle): Promise<PassTimer | undefined> {
    if (!gpu.features.has('timestamp-query')) return undefined;
    const probe = new PassTimer(gpu, settle, 1);
    const keepsTime = await probe.#keepsTime();
    const timer = keepsTime ? new PassTimer(gpu, settle, await probe.#measureStep()) : undefined;
    probe.#destroy();
    if (timer) timer.#attach();
    return timer;
  }

  #destroy(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#staging.destroy();
  }

  #attach(): void {
    const gpu = this.#gpu;
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

  async #keepsTime(): Promise<boolean> {
    const now = async () => (await this.#sample())[1] ?? 0n;
    const first = await now();
    const start = performance.now();
    await new Promise((resolve) => setTimeout(resolve, CLOCK_CHECK));
    const onGpu = Number((await now()) - first) / 1e6;
    const ratio = onGpu / (performance.now() - start);
    return ratio > 1 / CLOCK_FACTOR && ratio < CLOCK_FACTOR;
  }

  /**
   * Some browsers round timestamps, so that pages cannot measure each other. The step is the greatest common divisor of
   * many.
   */
  async #measureStep(): Promise<number> {
    let step = 0n;
    for (let sample = 0; sample < STEP_SAMPLES; sample++) {
      for (const stamp of await this.#sample()) step = commonDivisor(step, stamp);
    }
    return Number(step);
  }

  /** The timestamps of an empty pass of a device whose passes write none by themselves. */
  async #sample(): Promise<BigInt64Array> {
    const encoder = this.#gpu.createCommandEncoder();
    encoder.beginComputePass(this.#next()).end();
    this.#gpu.queue.submit([encoder.finish()]);
    return this.#stamps();
  }

  /** All passes since the last reading. */
  async take(): Promise<PassTime> {
    const stamps = await this.#stamps();
    let nanoseconds = 0;
    for (let i = 0; i < stamps.length; i += 2) nanoseconds += Number((stamps[i + 1] ?? 0n) - (stamps[i] ?? 0n));
    return { milliseconds: nanoseconds / 1e6, passes: stamps.length / 2 };
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

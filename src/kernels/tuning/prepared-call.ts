import { uniform } from '../../random.ts';
import { at, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { tensor } from '../create.ts';
import type { Device } from '../device.ts';
import { type Call, uploadOptions } from './calls.ts';

/** A call with its inputs on a device, to be run again and again. */
export class PreparedCall {
  readonly #device: Device;
  readonly #call: Call;
  readonly #inputs: readonly Tensor[];

  /** @param values of each input, row-major */
  constructor(device: Device, call: Call, values: readonly Float32Array[]) {
    this.#device = device;
    this.#call = call;
    this.#inputs = call.inputs.map((input, i) => tensor(device, at(values, i), input.shape, uploadOptions(input)));
  }

  /** The first result. */
  async result(): Promise<ArrayLike<number>> {
    return this.#last(1, (y) => y.data());
  }

  /** Milliseconds of a run, when so many follow each other; the host waits once, for the last of them. */
  async time(runs: number): Promise<number> {
    const start = performance.now();
    await this.#last(runs, ({ storage, dtype }) => this.#device.read(storage.block, dtype, 1));
    return (performance.now() - start) / runs;
  }

  [Symbol.dispose](): void {
    for (const input of this.#inputs) input.dispose();
  }

  async #last<T>(runs: number, use: (y: Tensor) => Promise<T>): Promise<T> {
    for (let i = 1; i < runs; i++) for (const output of this.#call.run(this.#inputs)) output.dispose();
    const outputs = this.#call.run(this.#inputs);
    try {
      return await use(at(outputs, 0));
    } finally {
      for (const output of outputs) output.dispose();
    }
  }
}

/** Values for a call, the same each time. */
export function randomInputs({ inputs }: Call): Float32Array[] {
  const random = uniform(1);
  return inputs.map(({ shape }) => Float32Array.from({ length: sizeOf(shape) }, () => 2 * random() - 1));
}

import { InputError } from '../errors.ts';
import { full, tensor } from '../kernels/create.ts';
import type { HostArray } from '../nn/weights/host-array.ts';
import { parseSafetensors, serializeSafetensors } from '../nn/weights/safetensors.ts';
import { tidy } from '../tensor/scope.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { crossEntropy } from './loss.ts';
import type { Optimiser } from './optimisers.ts';
import type { Trainable } from './trainable.ts';

/** What a checkpoint holds. */
const NETWORK = 'network/';
const OPTIMISER = 'optimiser/';
const STEPS = 'steps';

/** Trains a network with an optimiser, and writes checkpoints from which it goes on exactly as if it had not stopped. */
export class Trainer {
  readonly network: Trainable;
  readonly #optimiser: Optimiser;
  /** By the keys of a checkpoint. */
  readonly #memory = new Map<string, Tensor>();
  #steps = 0;

  constructor(network: Trainable, optimiser: Optimiser) {
    this.network = network;
    this.#optimiser = optimiser;
    for (const [key, { shape }] of network.learnt()) {
      for (const name of optimiser.memory) this.#memory.set(memoryKey(name, key), full(network.device, shape, 0));
    }
  }

  /** Steps taken. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * One step towards a smaller cross-entropy.
   * @param images [N, 3, H, W]
   * @param targets [N, classes], see `crossEntropy`
   * @param rate the learning rate
   * @returns the loss and the logits [N, classes] before the step
   */
  step(images: Tensor, targets: Tensor, rate: number): { readonly loss: Tensor; readonly logits: Tensor } {
    const { loss, logits, gradients } = this.network.differentiate(images, (logits) => crossEntropy(logits, targets));
    this.#steps += 1;
    for (const [key, parameter] of this.network.learnt()) {
      const gradient = gradients.get(key);
      if (gradient) this.#update(key, parameter, gradient, rate);
      gradient?.dispose();
    }
    this.network.device.flush();
    return { loss, logits };
  }

  /** A safetensors file of everything that the next steps depend on. */
  async checkpoint(): Promise<Uint8Array> {
    const entries: [string, HostArray][] = [[STEPS, { shape: [], data: Int32Array.of(this.#steps) }]];
    for (const [key, array] of await this.network.stateDict()) entries.push([NETWORK + key, array]);
    for (const [key, value] of this.#memory) entries.push([key, { shape: value.shape, data: await value.data() }]);
    return serializeSafetensors(entries);
  }

  /**
   * Goes back to a checkpoint of the same network and optimiser.
   * @throws InputError when it is of others; `file` is for its message
   */
  restore(checkpoint: Uint8Array, file = 'the checkpoint'): void {
    const entries = parseSafetensors(checkpoint, file);
    const find = (key: string, shape: readonly number[]): HostArray => {
      const found = entries.get(key);
      if (found && sameShape(found.shape, shape)) return found;
      throw new InputError(`${file}: no "${key}" of this network and optimiser; begin anew, or give their checkpoint`);
    };
    const [steps = 0] = find(STEPS, []).data;
    const memory = [...this.#memory].map(([key, { shape }]) => {
      const { data } = find(key, shape);
      return [key, tensor(this.network.device, Float32Array.from(data), shape)] as const;
    });
    const network = [...entries].filter(([key]) => key.startsWith(NETWORK));
    this.network.loadStateDict(new Map(network.map(([key, array]) => [key.slice(NETWORK.length), array])), file);
    for (const [key, value] of memory) this.#remember(key, value);
    this.#steps = steps;
  }

  /** Frees what the optimiser remembers; the network stays. */
  dispose(): void {
    for (const value of this.#memory.values()) value.dispose();
    this.#memory.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #update(key: string, parameter: Tensor, gradient: Tensor, rate: number): void {
    const keys = this.#optimiser.memory.map((name) => memoryKey(name, key));
    const memory = keys.flatMap((key) => this.#memory.get(key) ?? []);
    const [updated, ...remembered] = tidy([parameter, gradient, ...memory], (parameter, gradient, ...memory) => {
      const update = { parameter, gradient, memory, rate, step: this.#steps };
      const result = this.#optimiser.update(update);
      return [result.parameter, ...result.memory];
    });
    if (updated) this.network.set(key, updated);
    for (const [i, value] of remembered.entries()) this.#remember(keys[i] ?? '', value);
  }

  #remember(key: string, value: Tensor): void {
    this.#memory.get(key)?.dispose();
    this.#memory.set(key, value);
  }
}

function memoryKey(name: string, key: string): string {
  return `${OPTIMISER}${name}/${key}`;
}

import type { NdArray } from 'ndarray';
import { UsageError } from '../errors.ts';
import { type DType, denseLayout, denseStrides, isDense, type Layout, type TensorSpec } from './layout.ts';
import type { HostData, Memory, Storage } from './memory.ts';
import type { Scope } from './scope.ts';
import { at, formatShape, type Shape, sizeOf } from './shape.ts';

/** Hears of every op that a tensor takes part in. The tape of `src/autograd` is one; the engine below knows only this. */
export interface Recorder {
  record(call: RecordedCall): void;
}

export interface RecordedCall {
  readonly op: string;
  readonly attributes: unknown;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

interface TensorOptions {
  readonly dtype?: DType;
  readonly scope?: Scope | undefined;
  readonly recorder?: Recorder | undefined;
  readonly identity?: object;
}

/**
 * An n-dimensional array on a device: a layout over a storage that several tensors may share.
 *
 * Free it with `dispose()`, with `using`, or by making it inside a `Scope`. The values are read with `data()`, which
 * is the only thing that waits for the device.
 */
export class Tensor implements TensorSpec {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  readonly dtype: DType;
  readonly recorder: Recorder | undefined;
  /** Equal for handles on one value: an alias is the same value, a view of it is another one. */
  readonly identity: object;
  readonly #storage: Storage;
  #scope: Scope | undefined;
  #disposed = false;

  /** Takes over one reference to the storage. */
  constructor(storage: Storage, layout: Layout, options: TensorOptions = {}) {
    this.shape = layout.shape;
    this.strides = layout.strides;
    this.offset = layout.offset;
    this.dtype = options.dtype ?? 'float32';
    this.recorder = options.recorder;
    this.identity = options.identity ?? {};
    this.#storage = storage;
    this.#scope = options.scope;
    this.#scope?.add(this);
    alarm.watch(this, storage);
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  get memory(): Memory {
    return this.#storage.memory;
  }

  get scope(): Scope | undefined {
    return this.#scope;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** @throws UsageError when the tensor has been disposed of */
  get storage(): Storage {
    if (this.#disposed) {
      throw new UsageError(
        `a tensor of shape ${formatShape(this.shape)} is used after dispose(); keep it out of the scope, or dispose of it later`,
      );
    }
    return this.#storage;
  }

  /** Another handle on the same storage, to be disposed of by itself. */
  alias(options: Pick<TensorOptions, 'scope' | 'recorder'> & { readonly layout?: Layout } = {}): Tensor {
    const { dtype, identity } = this;
    const scope = 'scope' in options ? options.scope : this.#scope;
    const recorder = 'recorder' in options ? options.recorder : this.recorder;
    const same = options.layout === undefined && recorder === this.recorder;
    return new Tensor(this.storage.retain(), options.layout ?? this, {
      dtype,
      scope,
      recorder,
      ...(same && { identity }),
    });
  }

  /** Hands the tensor over to another scope, or to nobody. */
  moveTo(scope: Scope | undefined): void {
    this.#scope?.remove(this);
    this.#scope = scope;
    scope?.add(this);
  }

  /** The values in row-major order of `shape`, whatever the layout in memory. Waits for the device. */
  async data(): Promise<HostData> {
    const last = this.shape.reduce((sum, size, axis) => sum + (size - 1) * at(this.strides, axis), this.offset);
    const length = this.size === 0 ? 0 : last + 1;
    const raw = await this.memory.read(this.storage.block, this.dtype, length);
    return isDense(this) ? raw : gather(raw, this);
  }

  /** The only value of a tensor with one element. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new UsageError(`item() wants one element, not shape ${formatShape(this.shape)}; use data()`);
    return at(await this.data(), 0);
  }

  /** A copy of the values as an `ndarray`, for code that indexes and slices on the host. */
  async ndarray(): Promise<NdArray<HostData>> {
    // Loaded on request: `ndarray` builds constructors from strings, which a strict Content-Security-Policy refuses.
    const { default: ndarray } = await import('ndarray');
    return ndarray(await this.data(), [...this.shape]);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#scope?.remove(this);
    alarm.forget(this);
    this.#storage.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor(${formatShape(this.shape)}, ${this.dtype}, ${this.memory.name})`;
  }
}

/** The elements of a layout in row-major order. */
function gather(raw: HostData, { shape, strides, offset }: Layout): HostData {
  const size = sizeOf(shape);
  const result = raw instanceof Float32Array ? new Float32Array(size) : new Int32Array(size);
  let next = 0;
  const visit = (axis: number, start: number): void => {
    const length = shape[axis] ?? 1;
    const stride = strides[axis] ?? 0;
    for (let i = 0, source = start; i < length; i++, source += stride) {
      if (axis + 1 < shape.length) visit(axis + 1, source);
      else result[next++] = at(raw, source);
    }
  };
  visit(0, offset);
  return result;
}

/** A host array in row-major order, rearranged so that its axes lie in memory in the given order. */
export function rearrange(data: HostData, shape: Shape, order: readonly number[]): HostData {
  // The transposed array read in row-major order is the original in the order wanted.
  const strides = denseStrides(shape);
  return gather(data, {
    ...denseLayout(order.map((axis) => at(shape, axis))),
    strides: order.map((axis) => at(strides, axis)),
  });
}

/** Says, once for each device, that tensors are collected without having been disposed of. It frees nothing. */
class LeakAlarm {
  readonly #warned = new WeakSet<Memory>();
  readonly #references = new WeakMap<Memory, WeakRef<Memory>>();
  // The device is held weakly, lest a tensor that nobody disposes of keep it alive.
  readonly #registry = new FinalizationRegistry<{ device: WeakRef<Memory>; shape: Shape }>(({ device, shape }) => {
    const memory = device.deref();
    if (!memory || memory.destroyed || this.#warned.has(memory)) return;
    this.#warned.add(memory);
    console.warn(
      `fm-g-cam: a tensor of shape ${formatShape(shape)} on ${memory.name} was dropped without dispose(); its memory is lost`,
    );
  });

  watch(tensor: Tensor, { memory }: Storage): void {
    const device = this.#references.get(memory) ?? new WeakRef(memory);
    this.#references.set(memory, device);
    this.#registry.register(tensor, { device, shape: tensor.shape }, tensor);
  }

  forget(tensor: Tensor): void {
    this.#registry.unregister(tensor);
  }
}

const alarm = new LeakAlarm();

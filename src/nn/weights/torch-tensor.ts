import { InputError } from '../../errors.ts';
import { isDense, type Layout } from '../../tensor/layout.ts';
import { at, formatShape, sizeOf } from '../../tensor/shape.ts';
import { BYTES_PER_ELEMENT, decodeElements, type ElementType } from './element-types.ts';
import type { HostArray } from './host-array.ts';

/**
 * How many elements all tensors of a file may have together. A few bytes of pickle can ask for terabytes (axes expanded
 * with stride 0, a thousand views of one storage), so this is bounded before anything is allocated.
 */
export class ElementBudget {
  #left: number;

  constructor(elements: number) {
    this.#left = elements;
  }

  spend(elements: number, what: string): void {
    if (!(elements <= this.#left)) {
      throw new InputError(`${what} makes the tensors far larger than their file; the file is damaged or hostile`);
    }
    this.#left -= elements;
  }
}

/** A block of elements in a checkpoint; several tensors may be views of it. */
export class TorchStorage {
  readonly elementType: ElementType;
  /** In elements. */
  readonly length: number;
  /** The elements as stored, little-endian. */
  readonly readBytes: () => Uint8Array;
  readonly budget: ElementBudget;

  constructor(elementType: ElementType, length: number, readBytes: () => Uint8Array, budget: ElementBudget) {
    this.elementType = elementType;
    this.length = length;
    this.readBytes = readBytes;
    this.budget = budget;
  }
}

/** A tensor as a checkpoint describes it: a layout over a storage that is read only when it is asked for. */
export class TorchTensor {
  readonly #storage: TorchStorage;
  readonly #layout: Layout;
  #array: HostArray | undefined;

  constructor(storage: TorchStorage, layout: Layout) {
    this.#storage = storage;
    this.#layout = layout;
  }

  /**
   * The elements, row-major, whatever the strides were. The same array at every call, so tied weights stay tied.
   *
   * @param what the file and tensor, for messages.
   * @throws InputError when the layout goes beyond the storage, or the storage is damaged.
   */
  toHostArray(what: string): HostArray {
    this.#array ??= { shape: this.#layout.shape, data: readElements(this.#storage, this.#layout, what) };
    return this.#array;
  }
}

function readElements(storage: TorchStorage, layout: Layout, what: string): HostArray['data'] {
  const { shape, strides, offset } = layout;
  const size = sizeOf(shape);
  const span = size === 0 ? 0 : shape.reduce((last, length, axis) => last + (length - 1) * at(strides, axis), 1);
  const bytes = storage.readBytes();
  const width = BYTES_PER_ELEMENT[storage.elementType];
  const stored = Math.min(storage.length, Math.floor(bytes.length / width));
  if (!(offset + span <= stored)) {
    throw new InputError(
      `${what} of shape ${formatShape(shape)}, strides ${formatShape(strides)} and offset ${offset} goes beyond its storage of ${stored} elements; the file is damaged`,
    );
  }
  storage.budget.spend(size, what);
  const view = bytes.subarray(offset * width, (offset + span) * width);
  const dense = size === 0 || isDense({ shape, strides, offset: 0 });
  return decodeElements(dense ? view : gather(view, width, shape, strides), storage.elementType, what);
}

/**
 * The elements, each of `width` bytes, at every index of `shape` (of rank 1 or more) in row-major order. The caller has
 * checked the bounds; `at` in the innermost loop would make it three times slower.
 */
function gather(bytes: Uint8Array, width: number, shape: readonly number[], strides: readonly number[]): Uint8Array {
  const result = new Uint8Array(sizeOf(shape) * width);
  const innermost = shape.length - 1;
  let next = 0;
  const copy = (axis: number, start: number) => {
    const step = at(strides, axis) * width;
    const length = at(shape, axis);
    for (let i = 0; i < length; i++) {
      const source = start + i * step;
      if (axis < innermost) copy(axis + 1, source);
      else for (let byte = 0; byte < width; byte++) result[next++] = bytes[source + byte] ?? 0;
    }
  };
  copy(0, 0);
  return result;
}

import { InputError } from '../../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { BYTES_PER_ELEMENT, type ElementType } from './element-types.ts';
import { isCount, quote } from './messages.ts';
import { unpickle } from './pickle.ts';
import { StorageType, TORCH_GLOBALS } from './torch-globals.ts';
import { ElementBudget, TorchStorage } from './torch-tensor.ts';
import { ZipArchive } from './zip.ts';

/** The first of the five pickles in a legacy file. */
const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;

/** All tensors together may have this many elements for each byte of the file, and some more for small files. */
const ELEMENTS_PER_BYTE = 8;
const SPARE_ELEMENTS = 2 ** 24;

/** A PyTorch zip archive starts with a local file header. */
export function isZip(bytes: Uint8Array): boolean {
  return startsWith(bytes, 'PK\x03\x04');
}

/** Whether the file starts with the magic number of PyTorch's legacy format, pickled by any protocol. */
export function isLegacyCheckpoint(bytes: Uint8Array): boolean {
  try {
    return unpickle(new ByteReader(bytes.subarray(0, 64), ''), { globals: new Map() }) === MAGIC_NUMBER;
  } catch (error) {
    if (error instanceof InputError) return false;
    throw error;
  }
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  return String.fromCharCode(...bytes.subarray(0, text.length)) === text;
}

/**
 * Reads what `torch.save` wrote: the zip format (since PyTorch 1.6) or the legacy format (since 0.1.10).
 *
 * @param bytes the whole file.
 * @param name the file's name, for messages.
 * @returns the saved object with Map for dict, array for list and tuple (see `unpickle`), and a TorchTensor for each
 *   tensor and parameter; elements are read when `TorchTensor.toHostArray` is called.
 * @throws InputError when the file is damaged, or asks for anything beyond tensors and plain values.
 */
export function parseTorchCheckpoint(bytes: Uint8Array, name: string): unknown {
  return isZip(bytes) ? parseZip(bytes, name) : parseLegacy(bytes, name);
}

/** `<archive>/data.pkl` is the object, `<archive>/data/<key>` are the storages. */
function parseZip(bytes: Uint8Array, name: string): unknown {
  const archive = new ZipArchive(bytes, name);
  const paths = archive.paths();
  const pickle = paths.find((path) => /^([^/]+\/)?data\.pkl$/.test(path));
  if (pickle === undefined)
    throw new InputError(`${name}: the zip archive has no data.pkl; this is not a file that torch.save wrote`);
  const root = pickle.slice(0, -'data.pkl'.length);
  if (paths.includes(`${root}constants.pkl`)) {
    throw new InputError(
      `${name}: this is a TorchScript program, which is not executed; save the model's state_dict() with torch.save instead`,
    );
  }
  checkByteOrder(archive, paths, `${root}byteorder`, name);
  const registry = new StorageRegistry(name, bytes.length, ({ key }) => archive.read(`${root}data/${key}`));
  return registry.unpickle(new ByteReader(archive.read(pickle), name));
}

/** Files from before PyTorch 2.1 do not state it: those are little-endian in practice. */
function checkByteOrder(archive: ZipArchive, paths: readonly string[], path: string, name: string): void {
  if (paths.includes(path) && !startsWith(archive.read(path), 'little')) {
    throw new InputError(
      `${name}: the file was written on a big-endian machine; load and save it on a little-endian one`,
    );
  }
}

/** Five pickles (magic number, version, system, object, list of storage keys) and then the storages in that order. */
function parseLegacy(bytes: Uint8Array, name: string): unknown {
  const contents = new Map<unknown, Uint8Array>();
  const registry = new StorageRegistry(name, bytes.length, ({ key }) => {
    const content = contents.get(key);
    if (content === undefined) throw new InputError(`${name}: storage ${quote(key)} is missing; the file is damaged`);
    return content;
  });
  const reader = new ByteReader(bytes, name);
  expectValue(reader, MAGIC_NUMBER, 'this is not a file that torch.save wrote');
  expectValue(
    reader,
    PROTOCOL_VERSION,
    'the version of the format is not 1001; load it and save it again with a current PyTorch',
  );
  unpickleValues(reader); // The system's integer sizes and byte order; storages are little-endian all the same.
  const object = registry.unpickle(reader);
  const keys = unpickleValues(reader);
  if (!Array.isArray(keys)) throw new InputError(`${name}: the list of storages is missing; the file is damaged`);
  for (const key of keys) contents.set(key, readLegacyStorage(reader, registry.get(key)));
  return object;
}

function unpickleValues(reader: ByteReader): unknown {
  return unpickle(reader, { globals: new Map() });
}

function expectValue(reader: ByteReader, value: unknown, problem: string): void {
  if (unpickleValues(reader) !== value) throw new InputError(`${reader.name}: ${problem}`);
}

/** The number of elements, and then the elements. */
function readLegacyStorage(reader: ByteReader, { elementType }: StorageEntry): Uint8Array {
  return reader.take(reader.u64() * BYTES_PER_ELEMENT[elementType]);
}

/** A storage as the pickle announces it. */
interface StorageEntry {
  readonly key: string;
  readonly elementType: ElementType;
}

/** Makes the storages that the pickle of an object refers to by persistent ids. */
class StorageRegistry {
  readonly #name: string;
  readonly #read: (entry: StorageEntry) => Uint8Array;
  readonly #budget: ElementBudget;
  readonly #entries = new Map<unknown, StorageEntry>();
  readonly #contents = new Map<string, Uint8Array>();

  /**
   * @param fileLength in bytes; bounds the tensors.
   * @param read finds the content of a storage when it is needed, which in a legacy file is behind the pickle.
   */
  constructor(name: string, fileLength: number, read: (entry: StorageEntry) => Uint8Array) {
    this.#name = name;
    this.#read = read;
    this.#budget = new ElementBudget(fileLength * ELEMENTS_PER_BYTE + SPARE_ELEMENTS);
  }

  unpickle(reader: ByteReader): unknown {
    return unpickle(reader, { globals: TORCH_GLOBALS, persistentLoad: (id) => this.#load(id) });
  }

  get(key: unknown): StorageEntry {
    const entry = this.#entries.get(key);
    if (entry === undefined) throw new InputError(`${this.#name}: a storage belongs to no tensor; the file is damaged`);
    return entry;
  }

  /** An id is `('storage', type, key, location, length)`; in the legacy format a view of the storage may follow. */
  #load(id: unknown): TorchStorage {
    const [kind, type, key, , length, view] = Array.isArray(id) ? id : [];
    if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isCount(length)) {
      throw new InputError(
        `${this.#name}: a storage is not described by a type, a key and a length; the file is damaged`,
      );
    }
    const entry = this.#entries.get(key) ?? { key, elementType: type.elementType };
    this.#entries.set(key, entry);
    const whole = () => this.#content(entry);
    return view == null ? this.#storage(type, length, whole) : this.#view(type, view, whole);
  }

  /** A view is `(key, offset, length)` in elements. */
  #view(type: StorageType, view: unknown, whole: () => Uint8Array): TorchStorage {
    const [, offset, length] = Array.isArray(view) ? view : [];
    if (!isCount(offset) || !isCount(length)) {
      throw new InputError(
        `${this.#name}: a view of a storage is not described by a key, an offset and a length; the file is damaged`,
      );
    }
    const width = BYTES_PER_ELEMENT[type.elementType];
    return this.#storage(type, length, () => whole().subarray(offset * width, (offset + length) * width));
  }

  #storage({ elementType }: StorageType, length: number, readBytes: () => Uint8Array): TorchStorage {
    return new TorchStorage(elementType, length, readBytes, this.#budget);
  }

  /** Read once, however many tensors share it: a zip member is checked and perhaps inflated each time. */
  #content(entry: StorageEntry): Uint8Array {
    const content = this.#contents.get(entry.key) ?? this.#read(entry);
    this.#contents.set(entry.key, content);
    return content;
  }
}

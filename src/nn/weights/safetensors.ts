import { concatenate } from '../../bytes.ts';
import { InputError, messageOf, UsageError } from '../../errors.ts';
import { isRecord } from '../../record.ts';
import { formatShape, sizeOf } from '../../tensor/shape.ts';
import { ByteReader } from './byte-reader.ts';
import { BYTES_PER_ELEMENT, decodeElements, type ElementType, float32ToHalf } from './element-types.ts';
import type { HostArray, StateDict } from './host-array.ts';
import { isCount, isCountList, quote } from './messages.ts';

/** The length of the header, a 64-bit integer, precedes it. */
const LENGTH_BYTES = 8;
const HEADER_ALIGNMENT = 8;
const METADATA = '__metadata__';
/** The limit of the reference implementation. */
const LONGEST_HEADER = 100_000_000;

/** Where a tensor's elements are, as the header states it. */
interface TensorInfo {
  readonly name: string;
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  /** Bytes from the end of the header. */
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads a safetensors file (https://github.com/huggingface/safetensors, section "Format"): an 8-byte header length, a
 * JSON header, and the elements of all tensors, which must cover the rest of the file without overlap or holes.
 *
 * @param bytes the whole file.
 * @param name the file's name, for messages.
 * @returns copies of all tensors; metadata is not returned.
 * @throws InputError when anything in the file disagrees with the format.
 */
export function parseSafetensors(bytes: Uint8Array, name: string): StateDict {
  const reader = new ByteReader(bytes, name);
  const length = reader.u64();
  if (length > LONGEST_HEADER) {
    throw new InputError(
      `${name}: a safetensors header of ${length} bytes is over the limit of ${LONGEST_HEADER}; the file is damaged or of another format`,
    );
  }
  const header = parseHeader(reader.utf8(length), name);
  const data = reader.take(bytes.length - reader.offset);
  const infos = Object.entries(header)
    .filter(([key]) => key !== METADATA)
    .map(([key, entry]) => parseInfo(key, entry, name));
  checkCoverage(infos, data.length, name);
  return new Map(
    infos.map((info) => {
      const elements = decodeElements(
        data.subarray(info.begin, info.end),
        info.dtype,
        `${name}: tensor ${quote(info.name)}`,
      );
      return [info.name, { shape: info.shape, data: elements }];
    }),
  );
}

function parseHeader(json: string, name: string): Record<string, unknown> {
  const header = parseJson(json, name);
  if (!json.startsWith('{') || !isRecord(header)) {
    throw new InputError(
      `${name}: the safetensors header is not a JSON object; the file is damaged or of another format`,
    );
  }
  const duplicate = findDuplicateKey(json);
  if (duplicate !== undefined) {
    throw new InputError(`${name}: the safetensors header has the key ${quote(duplicate)} twice; write the file again`);
  }
  const metadata = Object.hasOwn(header, METADATA) ? header[METADATA] : {};
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    throw new InputError(`${name}: ${METADATA} must map strings to strings; write the file again`);
  }
  return header;
}

function parseJson(json: string, name: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new InputError(
      `${name}: the safetensors header is not JSON (${messageOf(error)}); the file is damaged or of another format`,
    );
  }
}

/** The first key that occurs twice in one object of this valid JSON text; JSON.parse keeps the last silently. */
function findDuplicateKey(json: string): string | undefined {
  const objects: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    if (json[i] === '{') objects.push(new Set());
    if (json[i] === '}') objects.pop();
    if (json[i] !== '"') continue;
    const start = i;
    i = endOfString(json, start);
    if (!isFollowedByColon(json, i)) continue;
    const key: string = JSON.parse(json.slice(start, i + 1));
    const keys = objects.at(-1);
    if (keys?.has(key)) return key;
    keys?.add(key);
  }
  return undefined;
}

/** The index of the quotation mark that closes the string which opens at `start`. */
function endOfString(json: string, start: number): number {
  let i = start + 1;
  while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
  return i;
}

function isFollowedByColon(json: string, index: number): boolean {
  let i = index + 1;
  while (json[i]?.trim() === '') i++;
  return json[i] === ':';
}

function parseInfo(key: string, entry: unknown, name: string): TensorInfo {
  const fail = (problem: string) => new InputError(`${name}: tensor ${quote(key)} ${problem}; write the file again`);
  if (!isRecord(entry)) throw fail('is not described by a JSON object');
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isElementType(dtype)) {
    const kinds = Object.keys(BYTES_PER_ELEMENT).join(', ');
    throw fail(`has the dtype ${quote(String(dtype))}, which is not one of ${kinds}`);
  }
  if (!isCountList(shape)) throw fail('has a shape that is not a list of non-negative integers');
  if (!isCountList(offsets) || offsets.length !== 2)
    throw fail('has data_offsets that are not two non-negative integers');
  const [begin = 0, end = 0] = offsets;
  const byteLength = sizeOf(shape) * BYTES_PER_ELEMENT[dtype];
  // The product of large sizes is inexact, or infinite, or NaN: never a count.
  if (!isCount(byteLength) || byteLength !== end - begin) {
    throw fail(`of ${dtype} ${formatShape(shape)} does not fit its data_offsets ${formatShape(offsets)}`);
  }
  return { name: key, dtype, shape, begin, end };
}

function isElementType(dtype: unknown): dtype is ElementType {
  return typeof dtype === 'string' && Object.hasOwn(BYTES_PER_ELEMENT, dtype);
}

/** In order of their offsets, tensors must follow each other exactly, up to the end of the file. */
function checkCoverage(infos: readonly TensorInfo[], dataLength: number, name: string): void {
  let covered = 0;
  for (const info of [...infos].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (info.begin !== covered) {
      const problem = info.begin < covered ? 'overlaps the tensor before it' : 'leaves a hole before it';
      throw new InputError(`${name}: tensor ${quote(info.name)} ${problem}; write the file again`);
    }
    covered = info.end;
  }
  if (covered !== dataLength) {
    throw new InputError(
      `${name}: the tensors take ${covered} bytes but ${dataLength} follow the header; the file is damaged or cut off, download it again`,
    );
  }
}

/**
 * Writes a safetensors file: `Float32Array` as F32, `Float64Array` as F64, `Int32Array` as I32, `Uint8Array` as U8. The
 * same tensors in the same order give the same bytes; elements are stored widest first, so all of them are aligned.
 *
 * @param metadata free text about the file, by key.
 * @param floats 'F16' rounds what a `Float32Array` holds to half precision, for weights that travel.
 * @throws UsageError for a name given twice or reserved, and for a shape that does not fit its data.
 */
export function serializeSafetensors(
  tensors: Iterable<readonly [string, HostArray]>,
  metadata?: Readonly<Record<string, string>>,
  floats: 'F32' | 'F16' = 'F32',
): Uint8Array {
  const entries = [...tensors];
  checkTensors(entries);
  const { infos, chunks } = placeData(entries, floats);
  // fromEntries defines own properties, so a tensor may be called __proto__.
  const header = Object.fromEntries([
    ...(metadata ? [[METADATA, metadata]] : []),
    ...entries.map(([name]) => [name, infos.get(name)]),
  ]);
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padding = -json.length & (HEADER_ALIGNMENT - 1);
  const length = new Uint8Array(LENGTH_BYTES);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length + padding), true);
  return concatenate([length, json, new Uint8Array(padding).fill(0x20), ...chunks]);
}

function checkTensors(entries: readonly (readonly [string, HostArray])[]): void {
  const names = new Set<string>();
  for (const [name, { shape, data }] of entries) {
    if (name === METADATA) throw new UsageError(`${METADATA} cannot be the name of a tensor; rename it`);
    if (names.has(name)) throw new UsageError(`two tensors are called ${quote(name)}; rename one`);
    if (sizeOf(shape) !== data.length) {
      throw new UsageError(
        `tensor ${quote(name)} has the shape ${formatShape(shape)} but ${data.length} elements; make them agree`,
      );
    }
    names.add(name);
  }
}

function placeData(entries: readonly (readonly [string, HostArray])[], floats: 'F32' | 'F16') {
  const infos = new Map<string, { dtype: ElementType; shape: readonly number[]; data_offsets: [number, number] }>();
  const chunks: Uint8Array[] = [];
  const stored = entries.map(([name, { shape, data }]) => {
    const half = floats === 'F16' && data instanceof Float32Array;
    return {
      name,
      shape,
      ...(half ? { dtype: floats, data: float32ToHalf(data) } : { dtype: elementTypeOf(data), data }),
    };
  });
  let begin = 0;
  for (const { name, shape, dtype, data } of stored.sort(
    (a, b) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT,
  )) {
    const end = begin + data.byteLength;
    infos.set(name, { dtype, shape, data_offsets: [begin, end] });
    chunks.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    begin = end;
  }
  return { infos, chunks };
}

function elementTypeOf(data: HostArray['data']): ElementType {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Float64Array) return 'F64';
  return data instanceof Int32Array ? 'I32' : 'U8';
}

import { inflateSync } from 'fflate';
import { crc32 } from '../../bytes.ts';
import { InputError } from '../../errors.ts';
import { ByteReader } from './byte-reader.ts';
import { quote } from './messages.ts';

const END_SIGNATURE = 0x06054b50;
const END_LENGTH = 22;
const LONGEST_COMMENT = 0xffff;
const ZIP64_LOCATOR_SIGNATURE = 0x07064b50;
const ZIP64_LOCATOR_LENGTH = 20;
const ZIP64_END_SIGNATURE = 0x06064b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_LENGTH = 30;
const ZIP64_EXTRA = 1;
/** A 32-bit field with this value is found in the ZIP64 extra field instead. */
const IN_ZIP64 = 0xffffffff;

const ENCRYPTED = 1;
const UTF8_PATH = 0x800;
const STORED = 0;
const DEFLATED = 8;
/** DEFLATE cannot do better than 258 bytes in 2 bits. */
const HIGHEST_DEFLATE_RATIO = 1032;

/** A member as the central directory describes it. */
interface ZipMember {
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly localOffset: number;
}

/**
 * A zip archive in memory: stored and deflated members, ZIP64, no encryption, no parts.
 * Format: PKWARE's APPNOTE.TXT, sections 4.3 to 4.5.
 */
export class ZipArchive {
  readonly #bytes: Uint8Array;
  readonly #name: string;
  readonly #members: ReadonlyMap<string, ZipMember>;

  /**
   * @param name the file's name, for messages.
   * @throws InputError when the central directory is missing or damaged.
   */
  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.#name = name;
    this.#members = readDirectory(bytes, name);
  }

  /** The paths of all members, in the order of the central directory. */
  paths(): string[] {
    return [...this.#members.keys()];
  }

  /**
   * The content of a member; of a stored one, a view of the archive.
   *
   * @throws InputError when there is no such member, or its checksum does not agree.
   */
  read(path: string): Uint8Array {
    const member = this.#members.get(path);
    if (member === undefined) throw this.#error(path, 'is missing');
    if (member.flags & ENCRYPTED) throw this.#error(path, 'is encrypted; save the file without a password', '');
    const content = this.#decompress(path, member);
    if (content.length !== member.size || crc32(content) !== member.crc) throw this.#error(path, 'fails its checksum');
    return content;
  }

  #decompress(path: string, member: ZipMember): Uint8Array {
    const stored = this.#storedBytes(member);
    if (member.method === STORED) return stored;
    if (member.method !== DEFLATED)
      throw this.#error(path, `uses compression method ${member.method}; store or deflate it`, '');
    if (member.size > stored.length * HIGHEST_DEFLATE_RATIO)
      throw this.#error(path, `cannot hold ${member.size} bytes`);
    try {
      return inflateSync(stored, { out: new Uint8Array(member.size) });
    } catch {
      throw this.#error(path, 'cannot be decompressed');
    }
  }

  #storedBytes(member: ZipMember): Uint8Array {
    const local = new ByteReader(this.#bytes, this.#name, member.localOffset);
    expectSignature(local, LOCAL_SIGNATURE);
    local.take(LOCAL_LENGTH - 8);
    const pathLength = local.u16();
    const extraLength = local.u16();
    local.take(pathLength + extraLength);
    return local.take(member.compressedSize);
  }

  #error(path: string, problem: string, advice = '; the file is damaged, download it again'): InputError {
    return new InputError(`${this.#name}: the zip member ${quote(path)} ${problem}${advice}`);
  }
}

function expectSignature(reader: ByteReader, signature: number): void {
  const start = reader.offset;
  if (reader.u32() !== signature) {
    throw new InputError(
      `${reader.name}: the zip archive has no record of the right kind at byte ${start}; the file is damaged, download it again`,
    );
  }
}

function readDirectory(bytes: Uint8Array, name: string): Map<string, ZipMember> {
  const { count, offset } = findDirectory(bytes, name);
  const reader = new ByteReader(bytes, name, offset);
  const members = new Map<string, ZipMember>();
  for (let i = 0; i < count; i++) {
    const [path, member] = readEntry(reader);
    if (members.has(path))
      throw new InputError(`${name}: the zip archive has two members ${quote(path)}; write the file again`);
    members.set(path, member);
  }
  return members;
}

/** Where the central directory starts, and its number of entries. */
function findDirectory(bytes: Uint8Array, name: string): { count: number; offset: number } {
  const end = findEnd(bytes, name);
  const locator = end.offset - ZIP64_LOCATOR_LENGTH;
  if (locator >= 0) {
    const reader = new ByteReader(bytes, name, locator);
    if (reader.u32() === ZIP64_LOCATOR_SIGNATURE) return readZip64End(reader);
  }
  end.take(10);
  const count = end.u16();
  end.take(4);
  return { count, offset: end.u32() };
}

/** At the end-of-directory record: the last one that is followed by a comment of just the stated length. */
function findEnd(bytes: Uint8Array, name: string): ByteReader {
  const first = Math.max(0, bytes.length - END_LENGTH - LONGEST_COMMENT);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let start = bytes.length - END_LENGTH; start >= first; start--) {
    const commentLength = bytes.length - END_LENGTH - start;
    if (view.getUint32(start, true) !== END_SIGNATURE) continue;
    if (view.getUint16(start + END_LENGTH - 2, true) === commentLength) return new ByteReader(bytes, name, start);
  }
  throw new InputError(`${name}: the zip archive has no end; the file is cut off, download it again`);
}

/** `locator` stands behind the signature of the ZIP64 locator. */
function readZip64End(locator: ByteReader): { count: number; offset: number } {
  locator.take(4);
  const end = new ByteReader(locator.bytes, locator.name, locator.u64());
  expectSignature(end, ZIP64_END_SIGNATURE);
  end.take(28);
  const count = end.u64();
  end.take(8);
  return { count, offset: end.u64() };
}

function readEntry(reader: ByteReader): [string, ZipMember] {
  expectSignature(reader, ENTRY_SIGNATURE);
  reader.take(4);
  const flags = reader.u16();
  const method = reader.u16();
  reader.take(4);
  const crc = reader.u32();
  const sizes = { compressedSize: reader.u32(), size: reader.u32() };
  const pathLength = reader.u16();
  const extraLength = reader.u16();
  const commentLength = reader.u16();
  reader.take(8);
  const localOffset = reader.u32();
  const path = flags & UTF8_PATH ? reader.utf8(pathLength) : reader.latin1(pathLength);
  const extra = new ByteReader(reader.take(extraLength), reader.name);
  reader.take(commentLength);
  return [path, { flags, method, crc, ...widen({ ...sizes, localOffset }, extra) }];
}

type Extent = Pick<ZipMember, 'compressedSize' | 'size' | 'localOffset'>;

/** Takes the fields that need more than 32 bits from the ZIP64 extra field, which holds just those, in this order. */
function widen({ size, compressedSize, localOffset }: Extent, extra: ByteReader): Extent {
  const fields = [size, compressedSize, localOffset].some((field) => field === IN_ZIP64)
    ? findZip64Extra(extra)
    : extra;
  const wide = (field: number) => (field === IN_ZIP64 ? fields.u64() : field);
  return { size: wide(size), compressedSize: wide(compressedSize), localOffset: wide(localOffset) };
}

/** At the content of the ZIP64 block among the extra fields, each of which is a kind, a length and a content. */
function findZip64Extra(extra: ByteReader): ByteReader {
  for (;;) {
    const kind = extra.u16();
    const content = extra.take(extra.u16());
    if (kind === ZIP64_EXTRA) return new ByteReader(content, extra.name);
  }
}

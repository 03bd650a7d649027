import { InputError } from '../../errors.ts';

const NEWLINE = 0x0a;

/** Reads a file front to back. Whatever would go beyond the end is an InputError, before anything is allocated for it. */
export class ByteReader {
  readonly bytes: Uint8Array;
  /** The file's name, for messages. */
  readonly name: string;
  /** Where the next read starts. */
  offset: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, name: string, offset = 0) {
    this.bytes = bytes;
    this.name = name;
    this.offset = offset;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The next bytes, not copied. */
  take(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.bytes.subarray(start, start + length);
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** Exact up to 2^53; a larger one is rounded, which is still larger than any file. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#advance(8), true));
  }

  /** Pickle's only big-endian field. */
  f64BigEndian(): number {
    return this.#view.getFloat64(this.#advance(8), false);
  }

  utf8(length: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.take(length));
    } catch (error) {
      if (error instanceof InputError) throw error;
      throw new InputError(`${this.name}: the text before byte ${this.offset} is not UTF-8; the file is damaged`);
    }
  }

  /** ISO 8859-1, where bytes are code points; TextDecoder means windows-1252 by 'latin1'. */
  latin1(length: number): string {
    return Array.from(this.take(length), (byte) => String.fromCharCode(byte)).join('');
  }

  /** Text up to the next newline, which is consumed too. */
  line(): string {
    const end = this.bytes.indexOf(NEWLINE, this.offset);
    const text = this.utf8((end < 0 ? this.bytes.length : end) - this.offset);
    this.#advance(1);
    return text;
  }

  /** Skips `length` bytes and returns where they began. */
  #advance(length: number): number {
    const start = this.offset;
    const left = this.bytes.length - start;
    if (!(length >= 0 && length <= left)) {
      throw new InputError(
        `${this.name}: ${length} bytes should follow byte ${start} but ${Math.max(0, left)} are left; the file is damaged or cut off, download it again`,
      );
    }
    this.offset = start + length;
    return start;
  }
}

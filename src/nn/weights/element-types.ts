import { InputError } from '../../errors.ts';
import { at } from '../../tensor/shape.ts';
import type { HostArray } from './host-array.ts';

/** The kinds of elements that weight files hold, spelt as safetensors spells them. */
export type ElementType = 'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

export const BYTES_PER_ELEMENT: Readonly<Record<ElementType, number>> = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/**
 * The elements in these little-endian bytes. Always a copy: it is aligned whatever the file's layout, the caller may
 * reuse the buffer, and a few tensors do not keep a large file in memory. (As WebAssembly and WebGPU do, this takes the
 * machine to be little-endian.)
 *
 * int64 becomes `Int32Array`. A lone value that does not fit, such as an odd `num_batches_tracked`, becomes
 * `Float64Array` as long as that is exact, because nothing computes with such counters.
 *
 * @param bytes a whole number of elements.
 * @param what the file and tensor, for messages.
 * @throws InputError for an int64 that cannot be represented.
 */
export function decodeElements(bytes: Uint8Array, type: ElementType, what: string): HostArray['data'] {
  // Not bytes.slice(): Node's Buffer overrides it with a method that does not copy.
  const { buffer } = new Uint8Array(bytes);
  switch (type) {
    case 'F64':
      return new Float64Array(buffer);
    case 'F32':
      return new Float32Array(buffer);
    case 'F16':
      return halfToFloat32(new Uint16Array(buffer));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(buffer));
    case 'I64':
      return narrowInt64(new BigInt64Array(buffer), what);
    case 'I32':
      return new Int32Array(buffer);
    case 'I16':
      return Int32Array.from(new Int16Array(buffer));
    case 'I8':
      return Int32Array.from(new Int8Array(buffer));
    case 'U8':
    case 'BOOL':
      return new Uint8Array(buffer);
  }
}

let halfTable: Float32Array | undefined;

/** By a table of all 65536 halves, ten times faster than number by number; made when the first half is read. */
function halfToFloat32(halves: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({ length: 2 ** 16 }, (_, bits) => halfToNumber(bits));
  const result = new Float32Array(halves.length);
  for (let i = 0; i < result.length; i++) result[i] = halfTable[halves[i] ?? 0] ?? 0;
  return result;
}

/** IEEE 754 binary16: 1 sign bit, 5 exponent bits (bias 15), 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The nearest binary16 of every number, of two equally near the even one; infinite from 65520 on. */
export function float32ToHalf(values: Float32Array): Uint16Array {
  return Uint16Array.from(new Uint32Array(values.slice().buffer), (bits, i) => {
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00;
    if (magnitude >= 0x47800000) return sign | 0x7c00;
    // Below 2^-14 a half is a multiple of 2^-24; adding 2^52 rounds a double to a whole number.
    if (magnitude < 0x38800000) return sign | (Math.abs(values[i] ?? 0) * 2 ** 24 + 2 ** 52 - 2 ** 52);
    // 13 fraction bits fall away, and the bias of the exponent shrinks from 127 to 15; a carry may go into the exponent.
    return sign | ((magnitude - (112 << 23) + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  });
}

/** A bfloat16 is the upper half of a float32. */
function bfloat16ToFloat32(halves: Uint16Array): Float32Array {
  return new Float32Array(new Uint32Array(halves).map((half) => half << 16).buffer);
}

function narrowInt64(values: BigInt64Array, what: string): Int32Array | Float64Array {
  const tooLarge = values.find((value) => BigInt.asIntN(32, value) !== value);
  if (tooLarge === undefined) return Int32Array.from(values, Number);
  if (values.length === 1 && Number.isSafeInteger(Number(at(values, 0)))) return Float64Array.from(values, Number);
  throw new InputError(
    `${what} holds the int64 ${tooLarge}, which does not fit 32 bits; convert the tensor to int32 or float`,
  );
}

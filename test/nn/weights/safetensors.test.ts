import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import type { HostArray } from '../../../src/nn/weights/host-array.ts';
import { parseSafetensors, serializeSafetensors } from '../../../src/nn/weights/safetensors.ts';
import { bytesOf, flipBit, inputError, resultOrInputError, sharedPath, skipShared, u64 } from './fixtures.ts';

const FILE = 'w.safetensors';

function file(header: string, data: Uint8Array = new Uint8Array()): Uint8Array {
  return bytesOf(u64(header.length), header, data);
}

/** A file with one tensor `x`. */
function one(dtype: string, shape: string, data: Uint8Array): Uint8Array {
  return file(`{"x":{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${data.length}]}}`, data);
}

function parseOne(dtype: string, shape: string, data: Uint8Array): HostArray | undefined {
  return parseSafetensors(one(dtype, shape, data), FILE).get('x');
}

describe('parseSafetensors', () => {
  it.each([
    ['F64', new Float64Array([1.5, -0]), new Float64Array([1.5, -0])],
    ['F32', new Float32Array([1.5, 1e-40]), new Float32Array([1.5, 1e-40])],
    ['F16', new Uint16Array([0x3c00, 0xc000]), new Float32Array([1, -2])],
    ['BF16', new Uint16Array([0x3f80, 0xc000]), new Float32Array([1, -2])],
    ['I64', new BigInt64Array([-1n, 2147483647n]), new Int32Array([-1, 2147483647])],
    ['I32', new Int32Array([-1, 7]), new Int32Array([-1, 7])],
    ['I16', new Int16Array([-1, 7]), new Int32Array([-1, 7])],
    ['I8', new Int8Array([-1, 7]), new Int32Array([-1, 7])],
    ['U8', new Uint8Array([255, 7]), new Uint8Array([255, 7])],
    ['BOOL', new Uint8Array([0, 1]), new Uint8Array([0, 1])],
  ])('reads %s', (dtype, stored, data) => {
    expect(parseOne(dtype, '[2,1]', new Uint8Array(stored.buffer))).toStrictEqual({ shape: [2, 1], data });
  });

  it('widens every half as IEEE 754 says', () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const data = parseOne('F16', '[65536]', new Uint8Array(halves.buffer))?.data ?? [];
    expect([data[0x0001], data[0x03ff], data[0x0400], data[0x7bff]]).toEqual([
      2 ** -24,
      1023 * 2 ** -24,
      2 ** -14,
      65504,
    ]);
    expect([data[0x7c00], data[0xfc00], data[0x7c01], data[0x8000]]).toEqual([Infinity, -Infinity, NaN, -0]);
    for (let bits = 1; bits <= 0x7c00; bits++) expect(data[bits]).toBeGreaterThan(data[bits - 1] ?? NaN);
  });

  it('keeps a lone int64 beyond 32 bits, and refuses several', () => {
    const large = new Uint8Array(BigInt64Array.of(2n ** 40n).buffer);
    expect(parseOne('I64', '[]', large)).toStrictEqual({ shape: [], data: new Float64Array([2 ** 40]) });
    const two = bytesOf(u64(1), large);
    expect(inputError(() => parseOne('I64', '[2]', two), FILE)).toContain('tensor "x" holds the int64 1099511627776');
    expect(inputError(() => parseOne('I64', '[]', u64(2n ** 62n)), FILE)).toContain('does not fit');
  });

  it('does not alias the file, even when it is a Buffer', () => {
    const bytes = Buffer.from(one('U8', '[2]', bytesOf(1, 2)));
    const array = parseSafetensors(bytes, FILE).get('x');
    bytes.fill(9);
    expect(array?.data).toEqual(new Uint8Array([1, 2]));
  });

  it('reads names that are special in JavaScript', () => {
    const names = ['__proto__', 'constructor', 'toString', '0', ''];
    const bytes = serializeSafetensors(names.map((name) => [name, { shape: [1], data: new Uint8Array([1]) }]));
    expect([...parseSafetensors(bytes, FILE).keys()].sort()).toEqual([...names].sort());
    expect(Object.hasOwn(Object.prototype, 'shape')).toBe(false);
  });

  const entry = (offsets: string, shape = '[1]') => `{"dtype":"U8","shape":${shape},"data_offsets":${offsets}}`;
  it.each([
    ['a header of 2^60 bytes', bytesOf(u64(2n ** 60n), '{}'), 'over the limit'],
    ['a negative header length', bytesOf(u64(0xffffffffffffffffn), '{}'), 'over the limit'],
    ['a header beyond the file', bytesOf(u64(3), '{}'), '3 bytes should follow byte 8 but 2 are left'],
    ['no header', bytesOf(u64(0)), 'not JSON'],
    ['text that is not UTF-8', file('{"\xff":1}'), 'not UTF-8'],
    ['broken JSON', file('{"x":'), 'not JSON'],
    ['JSON that is too deep', file('['.repeat(1e6)), 'not JSON'],
    ['a list', file('[]'), 'not a JSON object'],
    ['null', file('null'), 'not a JSON object'],
    ['a leading space', file(' {}'), 'not a JSON object'],
    ['a number for a tensor', file('{"x":1}'), 'tensor "x" is not described by a JSON object'],
    ['an unknown dtype', one('F8_E4M3', '[1]', bytesOf(1)), 'has the dtype "F8_E4M3"'],
    ['an inherited dtype', one('constructor', '[1]', bytesOf(1)), 'has the dtype "constructor"'],
    ['a negative size', one('U8', '[-1]', bytesOf(1)), 'non-negative'],
    ['a fractional size', one('U8', '[0.5]', bytesOf(1)), 'non-negative'],
    ['a size of 2^60', one('U8', '[1152921504606846976]', bytesOf(1)), 'non-negative'],
    [
      'a product that overflows',
      one('U8', '[9007199254740991,9007199254740991]', bytesOf(1)),
      'does not fit its data_offsets',
    ],
    [
      'too few bytes for the shape',
      one('F32', '[2]', bytesOf(0, 0, 0, 0)),
      'of F32 [2] does not fit its data_offsets [0, 4]',
    ],
    ['one offset', file(`{"x":${entry('[0]')}}`), 'data_offsets'],
    ['negative offsets', file(`{"x":${entry('[-1,0]')}}`), 'data_offsets'],
    ['offsets in the wrong order', file(`{"x":${entry('[1,0]')}}`, bytesOf(1)), 'data_offsets'],
    ['offsets beyond the file', file(`{"x":${entry('[0,1]')}}`), 'take 1 bytes but 0 follow'],
    ['bytes after the last tensor', file(`{"x":${entry('[0,1]')}}`, bytesOf(1, 2)), 'take 1 bytes but 2 follow'],
    ['a hole', file(`{"a":${entry('[0,1]')},"b":${entry('[2,3]')}}`, bytesOf(1, 2, 3)), '"b" leaves a hole'],
    [
      'an overlap',
      file(`{"a":${entry('[0,2]', '[2]')},"b":${entry('[1,3]', '[2]')}}`, bytesOf(1, 2, 3)),
      '"b" overlaps',
    ],
    ['a name twice', file(`{"a":${entry('[0,1]')},"\\u0061" :${entry('[0,1]')}}`, bytesOf(1)), 'the key "a" twice'],
    [
      'a field twice',
      file('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'),
      'the key "dtype" twice',
    ],
    ['metadata that is not text', file('{"__metadata__":{"k":1}}'), '__metadata__'],
  ])('refuses %s', (_, bytes, message) => {
    expect(inputError(() => parseSafetensors(bytes, FILE), FILE)).toContain(message);
  });

  it('refuses every file that is cut off', () => {
    const bytes = serializeSafetensors([['a', { shape: [3], data: new Float32Array([1, 2, 3]) }]]);
    for (let length = 0; length < bytes.length; length++) {
      inputError(() => parseSafetensors(bytes.subarray(0, length), FILE), FILE);
    }
  });

  it('reads or refuses files with a flipped bit', () => {
    const bytes = serializeSafetensors([['a', { shape: [2, 2], data: new Int32Array(4) }]], { k: 'v' });
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      resultOrInputError(() => parseSafetensors(flipBit(bytes, bit), FILE));
    }
  });

  it.skipIf(skipShared)('reads the golden files', () => {
    const files = readdirSync(sharedPath('golden/')).filter((name) => name.endsWith('.safetensors'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files) {
      const tensors = parseSafetensors(readFileSync(sharedPath(`golden/${name}`)), name);
      expect(tensors.size).toBeGreaterThan(10);
      const [image, input] = ['image_u8', 'input'].map((key) => tensors.get(key)?.data);
      // The red plane of the input is (image / 255 - mean) / std of every third byte of the image.
      image?.forEach((value, i) => {
        if (i % 3 === 0) expect(input?.[i / 3]).toBeCloseTo((value / 255 - 0.485) / 0.229, 5);
      });
    }
  });
});

describe('serializeSafetensors', () => {
  it('stores floats as the nearest halves, ties to even', () => {
    const half = (value: number): number => {
      const file = serializeSafetensors([['x', { shape: [], data: Float32Array.of(value) }]], undefined, 'F16');
      return parseSafetensors(file, FILE).get('x')?.data[0] ?? Number.NaN;
    };
    for (const exact of [0, -0, 1, -2, 2 ** -24, 1023 * 2 ** -24, 2 ** -14, 65504, Infinity, -Infinity, NaN]) {
      expect(half(exact)).toBe(exact);
    }
    // Halfway between neighbours: 1 and 1 + 2^-10, that and 1 + 2^-9, the two smallest, the largest subnormal and 2^-14.
    expect(half(1 + 2 ** -11)).toBe(1);
    expect(half(1 + 3 * 2 ** -11)).toBe(1 + 2 ** -9);
    expect(half(2 ** -25)).toBe(0);
    expect(half(-3 * 2 ** -25)).toBe(-(2 ** -23));
    expect(half(1023.5 * 2 ** -24)).toBe(2 ** -14);
    expect([half(65519), half(65520), half(1e30)]).toEqual([65504, Infinity, Infinity]);
  });

  it('leaves what is no Float32Array as it is beside halves', () => {
    const data = { a: Int32Array.of(1, 70_000), b: Float32Array.of(0.5), c: Float64Array.of(0.1) };
    const entries = Object.entries(data).map(([key, data]) => [key, { shape: [data.length], data }] as const);
    const read = parseSafetensors(serializeSafetensors(entries, undefined, 'F16'), FILE);
    expect(new Map([...read].map(([key, { data }]) => [key, data]))).toEqual(new Map(Object.entries(data)));
  });

  const element = (data: HostArray['data']): fc.Arbitrary<HostArray> =>
    fc.constantFrom({ shape: [data.length], data }, { shape: [1, data.length, 1], data });
  const array = fc
    .oneof(
      fc.float32Array({ maxLength: 6 }),
      fc.float64Array({ maxLength: 6 }),
      fc.int32Array({ maxLength: 6 }),
      fc.uint8Array({ maxLength: 6 }),
    )
    .chain(element);
  const name = fc.string({ unit: 'binary' }).filter((text) => text !== '__metadata__');

  it('is undone by parseSafetensors', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, array), { selector: ([key]) => key }), (tensors) => {
        expect(parseSafetensors(serializeSafetensors(tensors), FILE)).toStrictEqual(new Map(tensors));
      }),
    );
  });

  it('writes the layout of the format', () => {
    const bytes = serializeSafetensors(
      [
        ['u', { shape: [1], data: new Uint8Array([5]) }],
        ['f', { shape: [], data: new Float32Array([1]) }],
      ],
      { from: 'test' },
    );
    const header =
      '{"__metadata__":{"from":"test"},"u":{"dtype":"U8","shape":[1],"data_offsets":[4,5]},"f":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}';
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
    expect(bytes).toEqual(bytesOf(u64(padded.length), padded, 0, 0, 0x80, 0x3f, 5));
  });

  it('refuses names and shapes that do not work', () => {
    const array: HostArray = { shape: [1], data: new Uint8Array(1) };
    expect(() => serializeSafetensors([['__metadata__', array]])).toThrow(UsageError);
    expect(() =>
      serializeSafetensors([
        ['a', array],
        ['a', array],
      ]),
    ).toThrow('two tensors are called "a"');
    expect(() => serializeSafetensors([['a', { ...array, shape: [2] }]])).toThrow('has the shape [2] but 1 elements');
  });
});

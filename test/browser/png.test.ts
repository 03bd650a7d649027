import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { PNG } from 'pngjs';
import { expect, it, vi } from 'vitest';
import { concatenate } from '../../src/bytes.ts';
import * as codec from '../../src/image/png-codec.browser.ts';
import * as nodeCodec from '../../src/image/png-codec.ts';
import { chunks, encodeChunk, readPngHeader, SIGNATURE } from '../../src/image/png-format.ts';
import { noise } from '../image/support.ts';

/* The suites of decoding and encoding once more, on the PNG codec that browsers get; and what they do not reach. */

vi.mock(import('../../src/image/png-codec.ts'), () => import('../../src/image/png-codec.browser.ts'));

await import('../image/decode.test.ts');
await import('../image/encode.test.ts');

it('the codec of browsers is the one under test', () => {
  expect(nodeCodec.decodeSamples).toBe(codec.decodeSamples);
});

const decode = (file: Uint8Array) => codec.decodeSamples([...chunks(file, 'a')], readPngHeader(file, 'a'));

it('undoes every filter', () => {
  const options = fc.record({
    width: fc.integer({ min: 1, max: 9 }),
    height: fc.integer({ min: 1, max: 9 }),
    filterType: fc.constantFrom(0, 1, 2, 3, 4),
    colorType: fc.constantFrom(2 as const, 6 as const),
  });
  fc.assert(
    fc.property(options, ({ width, height, filterType, colorType }) => {
      const { data } = noise(width, height);
      const rgba = Uint8Array.from({ length: 4 * width * height }, (_, i) =>
        i % 4 === 3 ? 255 : (data[3 * (i >> 2) + (i % 4)] ?? 0),
      );
      const png = new PNG({ width, height });
      png.data = Buffer.from(rgba);
      const file = PNG.sync.write(png, { filterType, colorType });
      const samples = decode(file);
      expect(Array.from(samples).filter((_, i) => i % 4 < 3)).toEqual(Array.from(data));
    }),
  );
});

it('writes files that pngjs reads', () => {
  const image = noise(7, 5);
  const { width, height, data } = PNG.sync.read(Buffer.from(codec.encodeRgb(image)));
  expect([width, height]).toEqual([7, 5]);
  expect(data.filter((_, i) => i % 4 < 3)).toEqual(Buffer.from(image.data));
});

it.each<[string, number[] | undefined, string]>([
  ['a filter that does not exist', [5, 0, 1], 'there is no filter 5'],
  ['an index without a colour', [0, 0, 2], 'index 2 not in palette'],
  ['too few bytes', [0, 1], 'fewer than 3 bytes'],
  ['too many bytes', [0, 1, 1, 1], 'more than 3 bytes'],
  ['no image data', undefined, 'invalid zlib data'],
])('refuses %s', (_, lines, message) => {
  const file = concatenate([
    SIGNATURE,
    encodeChunk('IHDR', Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0)),
    encodeChunk('PLTE', Uint8Array.of(1, 2, 3, 4, 5, 6)),
    ...(lines ? [encodeChunk('IDAT', deflateSync(Uint8Array.from(lines)))] : []),
    encodeChunk('IEND', new Uint8Array(0)),
  ]);
  expect(() => decode(file)).toThrow(message);
});

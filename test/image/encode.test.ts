import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeImage } from '../../src/image/decode.ts';
import { encodePng } from '../../src/image/encode.ts';

it('encodePng loses nothing', async () => {
  const size = fc.integer({ min: 1, max: 12 });
  const image = fc
    .tuple(size, size)
    .chain(([width, height]) =>
      fc
        .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
        .map((data) => ({ width, height, data })),
    );
  await fc.assert(
    fc.asyncProperty(image, async (original) => {
      expect(await decodeImage(await encodePng(original), 'a.png')).toEqual(original);
    }),
  );
});

it('encodePng writes 8-bit RGB', async () => {
  const header = (await encodePng({ width: 1, height: 1, data: new Uint8Array(3) })).subarray(12, 26);
  expect([...header]).toEqual([...Buffer.from('IHDR'), 0, 0, 0, 1, 0, 0, 0, 1, 8, 2]);
});

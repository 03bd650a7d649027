import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../../src/errors.ts';
import { decodeImage } from '../../src/image/decode.ts';
import { encodePng } from '../../src/image/encode.ts';
import { expectedValues, fromBase64, noise } from './support.ts';

interface Case {
  title: string;
  file: string;
  width: number;
  height: number;
  pixels: string;
}

const { images, cmyk } = expectedValues<{ images: Case[]; cmyk: string }>('decode.json');

function fileOf(title: string): Uint8Array {
  const found = images.find((image) => image.title === title);
  if (!found) throw new Error(`no image '${title}' in decode.json`);
  return fromBase64(found.file);
}

/** The error that decoding ends with, after checking that it is one a user can act on; undefined if it decodes. */
async function refusal(bytes: Uint8Array): Promise<string | undefined> {
  try {
    await decodeImage(bytes, 'photo.img');
    return undefined;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    expect(error.message).toMatch(/^photo\.img: .+$/);
    return error.message;
  }
}

describe('decodeImage gives the pixels that PIL gives', () => {
  it.each(images)('$title', async ({ title, file, width, height, pixels }) => {
    const image = await decodeImage(fromBase64(file), title);
    expect([image.width, image.height]).toEqual([width, height]);
    expect(Buffer.from(image.data).toString('base64')).toBe(pixels);
  });

  it('leaves no ImageData behind in the global object', async () => {
    await Promise.all([decodeImage(fileOf('jpeg grey'), 'a'), decodeImage(fileOf('jpeg 1x1'), 'b')]);
    expect('ImageData' in globalThis).toBe(false);
  });
});

describe('decodeImage refuses', () => {
  it.each([
    ['nothing', '', 'empty'],
    ['a GIF', 'GIF89a......', 'GIF'],
    ['a WebP', 'RIFF\0\0\0\0WEBPVP8 ', 'WebP'],
    ['an AVIF', '\0\0\0\x1cftypavif', 'AVIF'],
    ['a HEIC', '\0\0\0\x1cftypheic', 'HEIC'],
    ['a BMP', 'BM\0\0\0\0', 'BMP'],
    ['a TIFF', 'II*\0\0\0', 'TIFF'],
    ['a text', 'hello', 'PNG or JPEG'],
  ])('%s', async (_, content, word) => {
    expect(await refusal(Buffer.from(content, 'latin1'))).toContain(word);
  });

  it('a CMYK JPEG', async () => {
    expect(await refusal(fromBase64(cmyk))).toContain('CMYK');
  });

  it('a PNG of 40000x40000 by its header alone', async () => {
    const { PNG } = await import('pngjs');
    const bytes = Uint8Array.from(PNG.sync.write(new PNG({ width: 1, height: 1 })));
    new DataView(bytes.buffer).setUint32(16, 40000);
    new DataView(bytes.buffer).setUint32(20, 40000);
    expect(await refusal(withHeaderChecksum(bytes))).toContain('40000x40000');
  });

  it('a JPEG of 40000x40000 by its header alone', async () => {
    const bytes = fileOf('jpeg 4:2:0');
    const frame = Buffer.from(bytes).indexOf(Buffer.from([0xff, 0xc0]));
    new DataView(bytes.buffer).setUint16(frame + 5, 40000);
    new DataView(bytes.buffer).setUint16(frame + 7, 40000);
    expect(await refusal(bytes)).toContain('40000x40000');
  });

  it('more pixels than maxPixels, and accepts just as many', async () => {
    const bytes = await encodePng(noise(4, 5));
    expect((await decodeImage(bytes, 'a.png', { maxPixels: 20 })).width).toBe(4);
    await expect(decodeImage(bytes, 'a.png', { maxPixels: 19 })).rejects.toThrow('limit of 19');
    await expect(decodeImage(bytes, 'a.png', { maxPixels: Number.NaN })).rejects.toThrow(UsageError);
  });

  it.each(['png rgb 8 bits', 'png rgb 8 bits interlaced', 'jpeg 4:2:0', 'jpeg 4:2:0 progressive'])(
    '%s cut anywhere',
    async (title) => {
      const bytes = fileOf(title);
      for (let length = 0; length < bytes.length; length += 1 + (length >> 3)) {
        expect(await refusal(bytes.subarray(0, length)), `${length} bytes`).toBeDefined();
      }
      expect(await refusal(bytes.subarray(0, -1))).toBeDefined();
    },
  );

  it('a PNG with any bit flipped', async () => {
    const bytes = fileOf('png palette 4 bits');
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        expect(await refusal(withFlippedBit(bytes, bit))).toBeDefined();
      }),
    );
  });

  it('an interlaced PNG that inflates to more than its header says', async () => {
    const { deflateSync } = await import('node:zlib');
    const bytes = replaceChunk(fileOf('png rgb 8 bits interlaced'), 'IDAT', deflateSync(Buffer.alloc(1 << 20)));
    expect(await refusal(bytes)).toBeDefined();
  });
});

it('decodeImage decodes or refuses, and never fails otherwise, with bits flipped in a JPEG', async () => {
  const bytes = fileOf('jpeg 4:2:0');
  await fc.assert(
    fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
      await refusal(withFlippedBit(bytes, bit));
    }),
  );
});

function withFlippedBit(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
}

function withHeaderChecksum(png: Uint8Array): Uint8Array {
  return replaceChunk(png, 'IHDR', png.slice(16, 29));
}

/** The PNG with the content of a chunk replaced and its length and checksum set right. */
function replaceChunk(png: Uint8Array, type: string, content: Uint8Array): Uint8Array {
  const file = Buffer.from(png);
  const at = file.indexOf(type) - 4;
  const body = Buffer.concat([Buffer.from(type), content]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(content.length);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([file.subarray(0, at), length, body, checksum, file.subarray(at + 12 + file.readUInt32BE(at))]);
}

function crc32(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

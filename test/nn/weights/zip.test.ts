import { deflateSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { ZipArchive } from '../../../src/nn/weights/zip.ts';
import { bytesOf, inputError, u64 } from './fixtures.ts';

const FILE = 'file.pth';
const CONTENT = bytesOf('123456789');
/** The check value of CRC-32, as catalogues of CRCs give it for `123456789`. */
const CRC = 0xcbf43926;

function u16(value: number): Uint8Array {
  return bytesOf(value & 0xff, value >> 8);
}

function u32(value: number): Uint8Array {
  return u64(value).subarray(0, 4);
}

interface Zip {
  readonly path?: string;
  readonly flags?: number;
  readonly method?: number;
  readonly stored?: Uint8Array;
  readonly size?: number;
  readonly crc?: number;
  readonly zip64?: boolean;
  readonly copies?: number;
  readonly comment?: string;
}

/** An archive of one member; with ZIP64, its sizes and offset are in the extra field, after one of another kind. */
function zip({
  path = 'a',
  flags = 0,
  method = 0,
  stored = CONTENT,
  size = CONTENT.length,
  crc = CRC,
  zip64 = false,
  copies = 1,
  comment = '',
}: Zip): Uint8Array {
  const common = bytesOf(u16(flags), u16(method), u32(0), u32(crc));
  const local = bytesOf(
    'PK\x03\x04',
    u16(20),
    common,
    u32(stored.length),
    u32(size),
    u16(path.length),
    u16(3),
    path,
    'xyz',
    stored,
  );
  const extra = zip64
    ? bytesOf(u16(7), u16(1), 'x', u16(1), u16(24), u64(size), u64(stored.length), u64(0))
    : bytesOf();
  const field = (value: number) => u32(zip64 ? 0xffffffff : value);
  const sizes = bytesOf(
    field(stored.length),
    field(size),
    u16(path.length),
    u16(extra.length),
    u16(0),
    u64(0),
    field(0),
  );
  const entry = bytesOf('PK\x01\x02', u32(0), common, sizes, path, extra);
  const directory = bytesOf(...new Array<Uint8Array>(copies).fill(entry));
  const counts = bytesOf(u16(copies), u16(copies), u32(directory.length), u32(local.length));
  return bytesOf(local, directory, 'PK\x05\x06', u32(0), counts, u16(comment.length), comment);
}

function read(options: Zip, path = 'a'): Uint8Array {
  return new ZipArchive(zip(options), FILE).read(path);
}

describe('ZipArchive', () => {
  it.each<[string, Zip]>([
    ['stored', {}],
    ['deflated', { method: 8, stored: deflateSync(CONTENT) }],
    ['ZIP64', { zip64: true }],
    ['commented', { comment: 'PK\x05\x06 is not the end' }],
  ])('reads a %s member', (_, options) => {
    expect([...read(options)]).toEqual([...CONTENT]);
  });

  it('decodes paths as their flag says', () => {
    expect(new ZipArchive(zip({ path: '\xc3\xa9', flags: 0x800 }), FILE).paths()).toEqual(['é']);
    expect(new ZipArchive(zip({ path: '\xe9' }), FILE).paths()).toEqual(['é']);
  });

  const deflated = { method: 8, stored: deflateSync(CONTENT) };
  it.each<[string, Zip, string]>([
    ['a wrong checksum', { crc: 1 }, 'fails its checksum'],
    ['a wrong size', { size: 8 }, 'fails its checksum'],
    ['a size that is too small for what is deflated', { ...deflated, size: 8 }, 'fails its checksum'],
    ['a size that is too large for what is deflated', { ...deflated, size: 10 }, 'fails its checksum'],
    [
      'a size that no deflated data can have',
      { ...deflated, size: 2 ** 40, zip64: true },
      'cannot hold 1099511627776 bytes',
    ],
    ['data that is not deflated', { method: 8, stored: bytesOf(7, 7, 7) }, 'cannot be decompressed'],
    ['encryption', { flags: 1 }, 'encrypted'],
    ['another compression', { method: 14 }, 'compression method 14'],
    ['one path twice', { copies: 2 }, 'two members "a"'],
    ['a path that is not UTF-8', { path: '\xff', flags: 0x800 }, 'not UTF-8'],
  ])('refuses %s', (_, options, message) => {
    expect(inputError(() => read(options))).toContain(message);
  });

  it('refuses a path that is not there', () => {
    expect(inputError(() => read({}, 'b'))).toContain('the zip member "b" is missing');
  });
});

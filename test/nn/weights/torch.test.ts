import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { unzipSync, zipSync } from 'fflate';
import { describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../../src/nn/weights/safetensors.ts';
import { loadStateDict, unwrapStateDict } from '../../../src/nn/weights/state-dict.ts';
import { parseTorchCheckpoint } from '../../../src/nn/weights/torch.ts';
import { TorchTensor } from '../../../src/nn/weights/torch-tensor.ts';
import {
  bytesOf,
  checkpoint,
  checkpointNames,
  flipBit,
  inputError,
  resultOrInputError,
  sharedPath,
  skipShared,
  u64,
} from './fixtures.ts';

const FILE = 'file.pth';

function load(bytes: Uint8Array) {
  return loadStateDict(bytes, FILE);
}

/** Pickled arguments of a tensor: 4 floats, or what is said instead. */
interface Tensor {
  readonly type?: string;
  readonly length?: number;
  readonly view?: string;
  readonly offset?: string;
  readonly shape?: string;
  readonly strides?: string;
}

/** A pickled `{'x': tensor}`; numbers up to 255, and in `offset`, `shape` and `strides` any opcodes. */
function pickledTensor({ type = 'FloatStorage', length = 4, view = 'N', ...layout }: Tensor): string {
  const { offset = 'K\0', shape = 'K\x04\x85', strides = 'K\x01\x85' } = layout;
  const id = `(U\x07storagectorch\n${type}\nU\x01kU\x03cpuK${String.fromCharCode(length)}${view}tQ`;
  return `\x80\x02}U\x01xctorch._utils\n_rebuild_tensor_v2\n(${id}${offset}${shape}${strides}\x89}tRs.`;
}

const MAGIC = '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.';

/** A legacy file around a pickled object, with one storage `k`. */
function legacy(pickle: string, { version = 'M\xe9\x03', keys = ']U\x01ka', count = 4 } = {}): Uint8Array {
  const elements = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
  return bytesOf(MAGIC, `${version}.`, '}.', pickle, `${keys}.`, u64(count), elements);
}

describe('checkpoints that PyTorch wrote', () => {
  it.each(checkpointNames())('%s is read as PyTorch reads it', (name) => {
    const given = load(checkpoint(`${name}.pth`));
    const expected = parseSafetensors(checkpoint(`${name}.safetensors`), `${name}.safetensors`);
    expect([...given.keys()]).toEqual([...expected.keys()]);
    expect(given).toStrictEqual(expected);
  });

  it('returns the saved object, with what no one needs as placeholders', () => {
    const saved = parseTorchCheckpoint(checkpoint('training-protocol2.pth'), FILE) as Map<string, unknown>;
    expect(saved.get('epoch')).toBe(3);
    expect(saved.get('big')).toBe(2n ** 70n);
    expect(saved.get('size')).toEqual([1, 2]);
    expect(saved.get('state_dict')).toBeInstanceOf(Map);
  });

  it('does not alias tensors of one storage, but keeps one tensor one', () => {
    const saved = parseTorchCheckpoint(checkpoint('views-zip.pth'), FILE) as Map<string, TorchTensor>;
    const [base, shared] = ['base', 'shared'].map((key) => saved.get(key)?.toHostArray(key));
    expect(base?.data.buffer).not.toBe(shared?.data.buffer);
    expect(saved.get('base')?.toHostArray('base')).toBe(base);
  });

  it('refuses TorchScript programs and whole modules without running them', () => {
    expect(inputError(() => load(checkpoint('torchscript.pt')))).toContain('TorchScript');
    expect(inputError(() => load(checkpoint('whole-module.pth')))).toContain(
      'asks for "torch.nn.modules.linear.Identity"',
    );
  });

  it('refuses commands that Python would have run', () => {
    expect(inputError(() => load(checkpoint('hostile.pth')))).toContain('asks for "posix.system"');
  });

  const small = ['views-zip.pth', 'views-deflated.pth', 'views-legacy.pth', 'nested.pth'];

  it.each(small)('%s is refused wherever it is cut off', (file) => {
    const bytes = checkpoint(file);
    for (let length = 0; length < bytes.length; length++) inputError(() => load(bytes.subarray(0, length)));
  });

  it.each(['views-zip.pth', 'views-deflated.pth'])('%s with a flipped bit is refused or unchanged', (file) => {
    const bytes = checkpoint(file);
    const expected = load(bytes);
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const flipped = resultOrInputError(() => load(flipBit(bytes, bit)));
        if (flipped !== undefined) expect(flipped).toStrictEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  it('a legacy file with flipped bits is read or refused', () => {
    const bytes = checkpoint('training-legacy-protocol4.pth');
    const bits = fc.array(fc.nat(bytes.length * 8 - 1), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(bits, (flips) => {
        resultOrInputError(() => load(flips.reduce(flipBit, bytes)));
      }),
      { numRuns: 2000 },
    );
  });
});

describe.skipIf(skipShared)('a trained ResNet-20 in the legacy format', () => {
  const bytes = () => readFileSync(sharedPath('models/resnet20-12fca82f.th'));

  it('has the weights that PyTorch reads', () => {
    const hash = createHash('sha256');
    const weights = load(bytes());
    // The same hash over names and elements in PyTorch: k + b'\0' + v.numpy().tobytes() for each k, v.
    for (const [key, { data }] of weights) hash.update(`${key}\0`).update(new Uint8Array(data.buffer));
    expect(hash.digest('hex')).toBe('d190fcb8478dc11c803c7034ad0b3ea771a0fb95fb49c8b2455825e8d665c4af');
    expect(weights.get('conv1.weight')?.shape).toEqual([16, 3, 3, 3]);
  });

  it('is refused when it is cut off at any kilobyte', () => {
    const whole = bytes();
    for (let length = 0; length < whole.length; length += 1024) inputError(() => load(whole.subarray(0, length)));
  });
});

describe('hand-made legacy files', () => {
  const values = (bytes: Uint8Array) => load(bytes).get('x');

  it('are read', () => {
    expect(values(legacy(pickledTensor({})))).toStrictEqual({ shape: [4], data: new Float32Array([1, 2, 3, 4]) });
  });

  it('may have views of storages', () => {
    const tensor = pickledTensor({ view: '(U\x01vK\x01K\x02t', shape: 'K\x02\x85' });
    expect(values(legacy(tensor))).toStrictEqual({ shape: [2], data: new Float32Array([2, 3]) });
    const beyond = pickledTensor({ view: '(U\x01vK\x01K\x02t', shape: 'K\x03\x85' });
    expect(inputError(() => values(legacy(beyond)))).toContain('goes beyond its storage of 2 elements');
  });

  it('may state their numbers as protocol 1 does', () => {
    const decimal = 'L119547037146038801333356L\n.';
    expect(values(bytesOf(decimal, legacy(pickledTensor({})).subarray(MAGIC.length)))?.shape).toEqual([4]);
  });

  it('may hold the OrderedDict of Python 2', () => {
    const dict = pickledTensor({})
      .replace('}U\x01x', 'ccollections\nOrderedDict\n]]U\x01xa')
      .replace(/s\.$/, 'aa\x85R.');
    expect(values(legacy(dict))?.shape).toEqual([4]);
  });

  const huge = '\x8a\x08\xff\xff\xff\xff\xff\xff\x1f\0'; // 2^53 - 1
  it.each<[string, Tensor, string]>([
    ['a shape beyond the storage', { shape: 'K\x05\x85' }, 'goes beyond its storage of 4 elements'],
    ['an offset beyond the storage', { offset: 'K\x01' }, 'goes beyond'],
    ['strides beyond the storage', { strides: 'K\x02\x85' }, 'goes beyond'],
    ['a huge offset', { offset: huge }, 'goes beyond'],
    ['a huge shape', { shape: `${huge}${huge}\x86`, strides: 'K\x01K\x01\x86' }, 'goes beyond'],
    ['a huge expanded shape', { shape: `${huge}${huge}\x86`, strides: 'K\0K\0\x86' }, 'far larger than their file'],
    ['a length beyond the storage', { length: 9, shape: 'K\x05\x85' }, 'goes beyond its storage of 4 elements'],
    ['a negative offset', { offset: 'J\xff\xff\xff\xff' }, 'a tensor is not described'],
    ['a negative size', { shape: 'J\xff\xff\xff\xff\x85' }, 'a tensor is not described'],
    ['a negative stride', { strides: 'J\xff\xff\xff\xff\x85' }, 'a tensor is not described'],
    ['fewer strides than sizes', { strides: ')' }, '1 sizes and 0 strides'],
    ['65 axes', { shape: `(${'K\x01'.repeat(65)}t`, strides: `(${'K\x01'.repeat(65)}t` }, '65 sizes'],
    ['a view that is none', { view: ')' }, 'view of a storage'],
    ['a complex storage', { type: 'ComplexFloatStorage' }, 'asks for "torch.ComplexFloatStorage"'],
    ['a function for a storage', { type: 'Size' }, 'a storage is not described'],
  ])('are refused with %s', (_, tensor, message) => {
    expect(inputError(() => load(legacy(pickledTensor(tensor))))).toContain(message);
  });

  it('are refused when their parts disagree', () => {
    const tensor = pickledTensor({});
    expect(inputError(() => load(legacy(tensor, { version: 'K\x01' })))).toContain('version');
    expect(inputError(() => load(legacy(tensor, { keys: ']' })))).toContain('storage "k" is missing');
    expect(inputError(() => load(legacy(tensor, { keys: ']U\x01ja' })))).toContain('belongs to no tensor');
    expect(inputError(() => load(legacy(tensor, { keys: 'N' })))).toContain('list of storages');
    expect(inputError(() => load(legacy(tensor, { count: 2 ** 60 })))).toContain('bytes should follow');
    expect(inputError(() => load(legacy('ccollections\nOrderedDict\nK\x01\x85R.')))).toContain('OrderedDict');
    expect(inputError(() => load(legacy('K\x01Q.')))).toContain('a storage is not described');
  });

  it('bounds what many expanded views may ask for together', () => {
    const tensor = pickledTensor({ type: 'ByteStorage', shape: 'J\xff\xff\xff\0\x85', strides: 'K\0\x85' });
    const saved = parseTorchCheckpoint(legacy(tensor), FILE) as Map<string, TorchTensor>;
    const [key, first] = [...saved][0] ?? [];
    expect(first).toBeInstanceOf(TorchTensor);
    expect(first?.toHostArray(String(key)).data).toHaveLength(2 ** 24 - 1);
    const two = tensor.replace(/s\.$/, `s${tensor.slice(3, -1).replace('U\x01x', 'U\x01y')}.`);
    expect(inputError(() => load(legacy(two)))).toContain('tensor "y" makes the tensors far larger than their file');
  });

  it('refuses a bare tensor', () => {
    expect(inputError(() => unwrapStateDict([], FILE))).toContain('no state dict');
  });
});

describe('zip archives', () => {
  it('are refused without an object', () => {
    const bytes = checkpoint('nested.pth');
    const text = Buffer.from(bytes).toString('latin1').replaceAll('data.pkl', 'atad.pkl');
    expect(inputError(() => load(bytesOf(text)))).toContain('has no data.pkl');
  });

  it('are refused when a storage is missing or damaged', () => {
    const bytes = Buffer.from(checkpoint('nested.pth'));
    const replace = (from: string, to: string) => bytesOf(bytes.toString('latin1').replaceAll(from, to));
    expect(inputError(() => load(replace('/data/0', '/data/1')))).toContain('data/0" is missing');
    expect(inputError(() => load(replace('\0\0\x80\x3f', '\0\0\x80\x40')))).toContain('data/0" fails its checksum');
  });

  it.each([
    ['big', true],
    ['little', false],
  ])('that say they are %s-endian', (order, refused) => {
    const { 'nested/data.pkl': object, 'nested/data/0': storage } = unzipSync(checkpoint('nested.pth'));
    const members = { 'data.pkl': object, 'data/0': storage, byteorder: bytesOf(order) };
    const bytes = zipSync(members as Record<string, Uint8Array>);
    if (refused) expect(inputError(() => load(bytes))).toContain('big-endian');
    else expect(load(bytes)).toStrictEqual(load(checkpoint('nested.pth')));
  });
});

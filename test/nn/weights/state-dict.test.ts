import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { HostArray, StateDict } from '../../../src/nn/weights/host-array.ts';
import { serializeSafetensors } from '../../../src/nn/weights/safetensors.ts';
import { loadStateDict, matchStateDict, unwrapStateDict } from '../../../src/nn/weights/state-dict.ts';
import { ElementBudget, TorchStorage, TorchTensor } from '../../../src/nn/weights/torch-tensor.ts';
import { bytesOf, checkpoint, inputError, sharedPath, skipShared, u64 } from './fixtures.ts';

const FILE = 'file.pth';

function filled(shape: readonly number[], value = 1): HostArray {
  const size = shape.reduce((product, length) => product * length, 1);
  return { shape, data: new Float32Array(size).fill(value) };
}

/** A tensor of one element. */
function tensor(value = 1): TorchTensor {
  const bytes = new Uint8Array(Float32Array.of(value).buffer);
  const storage = new TorchStorage('F32', 1, () => bytes, new ElementBudget(100));
  return new TorchTensor(storage, { shape: [1], strides: [1], offset: 0 });
}

function dict(entries: Record<string, unknown>): Map<string, unknown> {
  return new Map(Object.entries(entries));
}

function namesOf(object: unknown): string[] {
  return [...unwrapStateDict(object, FILE).keys()];
}

describe('loadStateDict', () => {
  it('goes by the content, not by the name', () => {
    const bytes = serializeSafetensors([['module.a', filled([2])]]);
    expect(loadStateDict(bytes, 'weights.pth')).toStrictEqual(new Map([['a', filled([2])]]));
    expect(loadStateDict(checkpoint('nested.pth'), 'nested.safetensors').size).toBe(1);
  });

  it.each([
    ['an empty file', '', 'it is empty'],
    ['a web page', '<!DOCTYPE html><html>', 'HTML page'],
    ['a web page after a byte order mark', '\xef\xbb\xbf\n<html>', 'HTML page'],
    ['a git-lfs pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n', 'git-lfs pointer'],
    ['JSON', '{"error": "not found"}', 'JSON'],
    ['an HDF5 file', '\x89HDF\r\n\x1a\n', 'Keras'],
    ['a NumPy array', '\x93NUMPY\x01\0', 'NumPy'],
    ['a JPEG image', '\xff\xd8\xff\xe0', 'image'],
    ['a pickle', '\x80\x04}.', 'a pickle, but not one that torch.save wrote'],
    ['a tar archive', `${'storages'.padEnd(257, '\0')}ustar`, 'before 0.1.10'],
    ['zeros', '\0'.repeat(100), 'may be damaged'],
    ['an empty zip archive', 'PK\x05\x06'.padEnd(22, '\0'), 'may be damaged'],
    ['half a zip archive', 'PK\x03\x04', 'the zip archive has no end'],
  ])('says what %s is', (_, text, message) => {
    expect(inputError(() => loadStateDict(bytesOf(text), FILE))).toContain(message);
  });

  it('refuses a pickle that runs a command, whatever it is wrapped in', () => {
    const magic = '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.M\xe9\x03.}.';
    const message = inputError(() =>
      loadStateDict(bytesOf(magic, '}\x8c\x01xcos\nsystem\n\x8c\x02ls\x85Rs.', u64(0)), FILE),
    );
    expect(message).toContain('asks for "os.system"');
  });
});

describe('unwrapStateDict', () => {
  it.each(['state_dict', 'model_state_dict', 'model', 'net'])('unwraps %s', (key) => {
    expect(namesOf(dict({ epoch: 1, loss: tensor(), [key]: dict({ w: tensor() }) }))).toEqual(['w']);
  });

  it('prefers state_dict, and unwraps twice', () => {
    const other = dict({ other: tensor() });
    expect(namesOf(dict({ model: other, state_dict: dict({ model: dict({ w: tensor() }) }) }))).toEqual(['w']);
  });

  it('strips the prefixes of wrappers only when all names have them', () => {
    expect(namesOf(dict({ 'module.a': tensor(), 'module.b': tensor() }))).toEqual(['a', 'b']);
    expect(namesOf(dict({ '_orig_mod.module.a': tensor() }))).toEqual(['a']);
    expect(namesOf(dict({ 'module.a': tensor(), b: tensor() }))).toEqual(['module.a', 'b']);
    expect(namesOf(dict({ 'model.a': tensor() }))).toEqual(['model.a']);
  });

  it('renames what old DenseNets call their layers, and nothing else', () => {
    const names = ['norm.1.weight', 'conv.2.weight', 'norm.2.running_var', 'norm1.bias'];
    const given = names.map((name) => `features.denseblock4.denselayer16.${name}`);
    const expected = ['norm1.weight', 'conv2.weight', 'norm2.running_var', 'norm1.bias'];
    const object = new Map([...given, 'features.norm.1.weight'].map((name) => [name, tensor()]));
    expect(namesOf(object)).toEqual([
      ...expected.map((name) => `features.denseblock4.denselayer16.${name}`),
      'features.norm.1.weight',
    ]);
  });

  it('refuses a name that is there twice', () => {
    const both = dict({ 'denselayer1.norm.1.weight': tensor(), 'denselayer1.norm1.weight': tensor() });
    expect(inputError(() => unwrapStateDict(both, FILE))).toContain('under its old and its new name');
  });

  it('leaves out what is not a tensor', () => {
    expect(namesOf(dict({ w: tensor(), _extra_state: null }))).toEqual(['w']);
  });

  it('refuses objects without tensors, and cycles', () => {
    const cycle = new Map<string, unknown>();
    cycle.set('model', cycle);
    const message = inputError(() => unwrapStateDict(dict({ epoch: 1, optimizer: dict({}) }), FILE));
    expect(message).toContain('a dict with the keys "epoch", "optimizer"');
    for (const object of [null, 5, [], tensor(), new Map(), cycle]) {
      expect(inputError(() => unwrapStateDict(object, FILE))).toContain('no state dict found');
    }
  });
});

describe('matchStateDict', () => {
  const expected = new Map([
    ['conv.weight', [2, 1, 3, 3]],
    ['bn.weight', [2]],
    ['bn.num_batches_tracked', []],
  ]);
  const fitting: [string, HostArray][] = [
    ['bn.weight', filled([2])],
    ['conv.weight', filled([2, 1, 3, 3])],
  ];
  const count: HostArray = { shape: [], data: new Int32Array([3]) };

  it('returns the expected tensors in the expected order', () => {
    const given = new Map([...fitting, ['bn.num_batches_tracked', count]]);
    expect([...matchStateDict(expected, given, FILE).keys()]).toEqual([...expected.keys()]);
  });

  it('does without counters, and leaves out those that are not expected', () => {
    const given = new Map([...fitting, ['other.num_batches_tracked', count]]);
    expect([...matchStateDict(expected, given, FILE).keys()]).toEqual(['conv.weight', 'bn.weight']);
  });

  it('strips model. only when the model has no such names', () => {
    const given: StateDict = new Map(fitting.map(([name, array]) => [`model.${name}`, array]));
    expect(matchStateDict(expected, given, FILE).size).toBe(2);
    const same = new Map([...given].map(([name, { shape }]) => [name, shape]));
    expect([...matchStateDict(same, given, FILE).keys()]).toEqual([...given.keys()]);
  });

  it('lists all that does not fit in one line', () => {
    const given: StateDict = new Map([
      ['conv.weight', filled([2, 3, 1, 1])],
      ['fc.weight', filled([1])],
    ]);
    expect(inputError(() => matchStateDict(expected, given, FILE, { architecture: 'tiny' }))).toBe(
      `${FILE}: the weights do not fit tiny: missing "bn.weight"; unexpected "fc.weight"; ` +
        'wrong shapes: "conv.weight" is [2, 3, 1, 1] instead of [2, 1, 3, 3]; ' +
        'give weights of this very architecture and number of classes',
    );
  });

  it('cuts long lists', () => {
    const many = new Map(Array.from({ length: 40 }, (_, i) => [`w${i}`, [1]]));
    expect(inputError(() => matchStateDict(many, new Map(), FILE))).toContain('missing "w0", "w1", "w2" … and 37 more');
  });

  it.each([
    [
      'a ResNet of bottleneck blocks (2, 1)',
      ['layer1.0.conv3.weight', 'layer1.1.conv1.weight', 'layer2.0.conv1.weight'],
    ],
    ['a ResNet of basic blocks (1)', ['layer1.0.conv1.weight', 'layer1.0.conv2.weight']],
    [
      'a DenseNet (1, 2)',
      ['1.denselayer1', '2.denselayer1', '2.denselayer2'].map((path) => `features.denseblock${path}.conv1.weight`),
    ],
    ['a VGG or AlexNet', ['features.0.weight', 'classifier.6.bias']],
  ])('recognises %s', (description, names) => {
    const given = new Map(names.map((name) => [name, filled([1])]));
    expect(inputError(() => matchStateDict(expected, given, FILE))).toContain(`the file looks like ${description};`);
  });

  it.each([NaN, Infinity, -Infinity])('refuses weights that are %s', (value) => {
    const given = new Map([...fitting, ['bn.weight', filled([2], value)]]);
    expect(inputError(() => matchStateDict(expected, given, FILE))).toContain(`tensor "bn.weight" contains ${value}`);
  });

  it.skipIf(skipShared)('tells a ResNet-20 from a ResNet-18', () => {
    const given = loadStateDict(readFileSync(sharedPath('models/resnet20-12fca82f.th')), FILE);
    const wanted = [1, 2, 3, 4].flatMap((stage) => [0, 1].map((block) => `layer${stage}.${block}.conv2.weight`));
    const message = inputError(() => matchStateDict(new Map(wanted.map((name) => [name, [1]])), given, FILE));
    expect(message).toContain(
      'looks like a ResNet of basic blocks (3, 3, 3), the model is a ResNet of basic blocks (2, 2, 2, 2);',
    );
  });
});

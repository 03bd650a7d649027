import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import { PNG } from 'pngjs';
import { describe, expect, it } from 'vitest';
import type { HostArray } from '../../src/nn/weights/host-array.ts';
import { parseSafetensors, serializeSafetensors } from '../../src/nn/weights/safetensors.ts';
import { loadStateDict } from '../../src/nn/weights/state-dict.ts';
import {
  DOG_CAT,
  fmgcam,
  MODEL,
  ON_CPU,
  sharedPath,
  temporaryFile,
  temporaryFolder,
  WEIGHTS,
} from '../support/command.ts';
import { describeShared, shared } from '../support/shared.ts';

/* Whatever is wrong, the command ends soon, with one line that names it, and leaves nothing behind. */

const FAILED = 1;
const WRONG_USAGE = 2;

/** Runs what has to fail, and returns the one line that it says. */
async function complaint(status: number, args: readonly string[], options?: Parameters<typeof fmgcam>[1]) {
  const run = await fmgcam(args, options);
  const lines = run.stderr.filter((line) => !line.startsWith('device: '));
  expect({ status: run.status, signal: run.signal, stdout: run.stdout }).toEqual({ status, signal: null, stdout: '' });
  expect(lines).toEqual([expect.stringMatching(/^fmgcam: /)]);
  return lines[0] ?? '';
}

/** As `complaint`, for `explain` with a folder for pictures that has to stay empty. */
async function refusal(status: number, ...args: readonly string[]): Promise<string> {
  const out = temporaryFolder();
  const line = await complaint(status, ['explain', ...args, '--out', out, ...ON_CPU]);
  expect(readdirSync(out)).toEqual([]);
  return line;
}

describe('wrong usage', () => {
  it.each<[string, readonly string[], string]>([
    ['no arguments', [], 'no command'],
    ['an unknown command', ['explian'], "unknown command 'explian'"],
    ['an unknown option', ['layers', '--model', 'resnet18', '--colour'], "unknown option '--colour'"],
    ['an argument too many', ['doctor', 'now'], "'doctor'"],
    ['an unknown model', ['layers', '--model', 'vgg16'], 'vgg16'],
    ['no weights', ['explain', 'photo.png', '--model', 'resnet18'], '--weights'],
    ['weights of a network that is not named', ['explain', 'photo.png', '--weights', 'w.pth'], '--model'],
    ['no image for diff', ['diff', ...MODEL], 'image'],
  ])('%s', async (_, args, named) => {
    expect(await complaint(WRONG_USAGE, args)).toContain(named);
  });

  it.each<[string, readonly string[], string]>([
    ['no image', [], 'image'],
    ['a layer that does not exist', [DOG_CAT, '--layer', 'layer9'], 'layer9'],
    ['K = 0', [DOG_CAT, '--topk', '0'], '--topk'],
    ['K = abc', [DOG_CAT, '--topk', 'abc'], '--topk'],
    ['classes and K', [DOG_CAT, '--topk', '2', '--classes', 'cat'], '--classes'],
    ['a size of 0', [DOG_CAT, '--size', '0'], '--size'],
    ['a size of 1e9', [DOG_CAT, '--size', '1e9'], '--size'],
    ['a size of 1,000,000,000', [DOG_CAT, '--size', '1000000000'], '--size'],
    ['size and preset', [DOG_CAT, '--size', '64', '--preset', 'IMAGENET1K_V1'], '--preset'],
    ['an unknown preset', [DOG_CAT, '--preset', 'IMAGENET'], '--preset'],
    ['an unknown mode', [DOG_CAT, '--mode', 'fast'], '--mode'],
    ['an alpha over 1', [DOG_CAT, '--heatmap-alpha', '1.5'], '--heatmap-alpha'],
  ])('of explain: %s', async (_, args, named) => {
    expect(await refusal(WRONG_USAGE, ...args, ...MODEL)).toContain(named);
  });

  it('of explain: an image together with a tensor', async () => {
    const args = ['explain', DOG_CAT, ...MODEL, '--input-tensor', 'input.safetensors'];
    expect(await complaint(WRONG_USAGE, args)).toContain('--input-tensor');
  });
});

describeShared('arguments that do not fit the model', () => {
  it.each<[string, readonly string[], string]>([
    ['K = 11 of 10', ['--topk', '11'], '11'],
    ['an unknown class', ['--classes', 'cat,unicorn'], 'unicorn'],
    ['one class twice', ['--classes', 'cat,3'], 'cat'],
    ['a layer that is no feature map', ['--layer', 'linear'], 'linear'],
    ['a size below the stride', ['--size', '2'], '2 x 2'],
  ])('%s', async (_, args, named) => {
    expect(await refusal(WRONG_USAGE, DOG_CAT, ...args, ...MODEL)).toContain(named);
  });
});

describeShared('images', () => {
  const refused = async (name: string, content: string | Uint8Array): Promise<string> => {
    const file = temporaryFile(name, content);
    const line = await refusal(FAILED, file, ...MODEL);
    expect(line.startsWith(`fmgcam: ${file}: `), line).toBe(true);
    return line;
  };
  const flipped = (bytes: Uint8Array, offset: number) => bytes.map((byte, i) => (i === offset ? byte ^ 1 : byte));

  it.each([
    ['PNG', 'dog-cat.jpg', 20],
    ['PNG', 'dog-cat.jpg', 50_000],
    ['JPEG', 'coco-000000000078.jpg', 20],
    ['JPEG', 'coco-000000000078.jpg', 20_000],
  ])('a %s cut off: %s after %i bytes', async (_, image, length) => {
    await refused('photo.png', shared(`images/${image}`).subarray(0, length));
  });

  it('a PNG with a flipped bit', async () => {
    expect(await refused('photo.png', flipped(shared('images/dog-cat.jpg'), 30_000))).toContain('checksum');
  });

  it('a JPEG with a flipped bit in its Huffman table', async () => {
    const bytes = shared('images/coco-000000000078.jpg');
    await refused('photo.jpg', flipped(bytes, bytes.indexOf(Buffer.from([0xff, 0xc4])) + 4));
  });

  it('a PNG of 40000 x 40000 pixels by its header', async () => {
    const bytes = PNG.sync.write(new PNG({ width: 1, height: 1 }));
    bytes.writeUInt32BE(40_000, 16);
    bytes.writeUInt32BE(40_000, 20);
    bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
    expect(await refused('bomb.png', bytes)).toContain('40000x40000');
  });

  it('an empty file', async () => {
    expect(await refused('empty.png', '')).toContain('empty');
  });

  it('a text', async () => {
    await refused('photo.jpg', 'a thousand words');
  });

  it('a folder', async () => {
    expect(await refusal(FAILED, sharedPath('images'), ...MODEL)).toContain(`${sharedPath('images')}: `);
  });

  it('a file that does not exist', async () => {
    expect(await refusal(FAILED, 'nowhere/photo.jpg', ...MODEL)).toContain('nowhere/photo.jpg: ');
  });
});

describeShared('weights', () => {
  const refused = async (name: string, content: string | Uint8Array): Promise<string> => {
    const file = temporaryFile(name, content);
    const line = await refusal(FAILED, DOG_CAT, '--model', 'resnet20-cifar10', '--weights', file);
    expect(line.startsWith(`fmgcam: ${file}: `), line).toBe(true);
    return line;
  };
  const trained = () => loadStateDict(shared('models/resnet20-12fca82f.th'), WEIGHTS);

  it.each([0, 100, 20_000])('a checkpoint cut off after %i bytes', async (length) => {
    await refused('weights.pth', shared('models/resnet20-12fca82f.th').subarray(0, length));
  });

  it.each([7, 1000, 100_000])('safetensors cut off after %i bytes', async (length) => {
    await refused('weights.safetensors', serializeSafetensors(trained()).subarray(0, length));
  });

  it('safetensors with a header of 2^60 bytes', async () => {
    const bytes = Buffer.from(serializeSafetensors(trained()));
    bytes.writeBigUInt64LE(2n ** 60n);
    await refused('weights.safetensors', bytes);
  });

  it.each(['os', 'posix', 'nt'])('a pickle that calls %s.system, which is not called', async (module) => {
    const trace = join(temporaryFolder(), 'executed');
    const command = `touch ${trace}`;
    // PROTO 2; GLOBAL; MARK BINUNICODE TUPLE; REDUCE; STOP
    const text = Buffer.from(command);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(text.length);
    const pickle = Buffer.concat([
      Buffer.from(`\x80\x02c${module}\nsystem\n(X`, 'latin1'),
      length,
      text,
      Buffer.from('tR.'),
    ]);
    const zip = zipSync({ 'archive/data.pkl': pickle, 'archive/version': Buffer.from('3\n') }, { level: 0 });
    expect(await refused('weights.pth', zip)).toContain(`${module}.system`);
    await refused('weights.pth', pickle);
    expect(existsSync(trace)).toBe(false);
  });

  it('of another architecture', async () => {
    const line = await refusal(FAILED, DOG_CAT, '--model', 'resnet18', '--weights', WEIGHTS);
    expect(line).toContain(`${WEIGHTS}: `);
    expect(line).toContain('resnet18');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('of which one is %d', async (value) => {
    const weights = new Map(trained());
    const { shape, data } = weights.get('layer1.0.conv1.weight') ?? { shape: [], data: [] };
    weights.set('layer1.0.conv1.weight', { shape, data: Float32Array.from(data).fill(value, 0, 1) });
    const line = await refused('weights.safetensors', serializeSafetensors(weights));
    expect(line).toContain('layer1.0.conv1.weight');
    expect(line).toContain(String(value));
  });

  it('that are a folder', async () => {
    const folder = sharedPath('models');
    const line = await refusal(FAILED, DOG_CAT, '--model', 'resnet20-cifar10', '--weights', folder);
    expect(line).toContain(`${folder}: `);
  });
});

describeShared('places for results', () => {
  const explained = (...args: readonly string[]) => ['explain', DOG_CAT, ...MODEL, ...ON_CPU, ...args];

  it('a file as the folder', async () => {
    const file = temporaryFile('out', 'I was here first');
    expect(await complaint(FAILED, explained('--out', file))).toContain(`${file}: `);
    expect(readFileSync(file, 'utf8')).toBe('I was here first');
  });

  it('a folder that may not be written to', async () => {
    const folder = join(temporaryFolder(), 'read-only');
    mkdirSync(folder, { mode: 0o555 });
    // The administrator may write everywhere, so the command runs as somebody else.
    const options = process.getuid?.() === 0 ? { uid: 65_534 } : {};
    expect(await complaint(FAILED, explained('--out', folder), options)).toContain(`${folder}: `);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a file of tensors in a folder that does not exist', async () => {
    const file = join(temporaryFolder(), 'nowhere', 'steps.safetensors');
    expect(await complaint(FAILED, explained('--save-tensors', file))).toContain(`${file}: `);
  });
});

describeShared('--input-tensor', () => {
  const golden = 'golden/resnet20-coco78-48-layer2.2.conv2-top3.safetensors';
  const input = () => {
    const found = parseSafetensors(shared(golden), golden).get('input');
    if (!found) throw new Error(`${golden} has no input`);
    return found;
  };

  it.each<[string, number, (good: HostArray) => [string, HostArray], string]>([
    ['without a tensor `input`', FAILED, (good) => ['image', good], 'input'],
    ['of rank 3', WRONG_USAGE, ({ data }) => ['input', { shape: [3, 48, 48], data }], '[3, 48, 48]'],
    ['of one channel', WRONG_USAGE, ({ data }) => ['input', { shape: [3, 1, 48, 48], data }], '[3, 1, 48, 48]'],
    ['of float64', FAILED, ({ shape, data }) => ['input', { shape, data: Float64Array.from(data) }], 'float32'],
    [
      'of NaN',
      FAILED,
      ({ shape, data }) => ['input', { shape, data: Float32Array.from(data).fill(Number.NaN, 9, 10) }],
      'finite',
    ],
  ])('%s', async (_, status, change, named) => {
    const file = temporaryFile('input.safetensors', serializeSafetensors([change(input())]));
    const steps = join(temporaryFolder(), 'steps.safetensors');
    const args = ['explain', ...MODEL, ...ON_CPU, '--input-tensor', file, '--save-tensors', steps];
    expect(await complaint(status, args)).toContain(named);
    expect(existsSync(steps)).toBe(false);
  });

  it('that is no safetensors file', async () => {
    expect(await complaint(FAILED, ['explain', ...MODEL, ...ON_CPU, '--input-tensor', DOG_CAT])).toContain(DOG_CAT);
  });
});

/** PNG specification, annex D. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  }
  return ~crc >>> 0;
}

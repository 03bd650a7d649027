import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ExplainedClass } from '../../src/cam/explain.ts';
import { decodeImage } from '../../src/image/decode.ts';
import type { RgbImage } from '../../src/image/image.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { DOG_CAT, fmgcam, MODEL, missingWebGpu, ON_CPU, sharedPath, temporaryFolder } from '../support/command.ts';
import { expectClose } from '../support/numbers.ts';
import { describeShared, shared } from '../support/shared.ts';

const COCO = sharedPath('images/coco-000000000078.jpg');

interface Report {
  readonly device: string;
  readonly layer: string;
  readonly method: string;
  readonly mode: string;
  readonly activation: string;
  readonly results: readonly { image: string; classes: readonly ExplainedClass[]; files: readonly string[] }[];
}

const explainArgs = (...args: readonly string[]) => ['explain', ...MODEL, ...args];

async function report(...args: readonly string[]): Promise<Report> {
  const { status, stdout, stderr } = await fmgcam(explainArgs(...args, '--json'));
  expect(status, stderr.join('\n')).toBe(0);
  return JSON.parse(stdout);
}

async function picture(file: string): Promise<RgbImage> {
  expect(readFileSync(file).subarray(1, 4).toString('latin1')).toBe('PNG');
  return decodeImage(readFileSync(file), file);
}

/** Whether `part` is somewhere in `whole`, pixel by pixel. */
function contains(whole: RgbImage, part: RgbImage): boolean {
  const row = (image: RgbImage, x: number, y: number, width: number) =>
    Buffer.from(image.data.buffer, image.data.byteOffset + 3 * (y * image.width + x), 3 * width);
  for (let y = 0; y + part.height <= whole.height; y++) {
    for (let x = 0; x + part.width <= whole.width; x++) {
      let rows = 0;
      while (rows < part.height && row(whole, x, y + rows, part.width).equals(row(part, 0, rows, part.width))) rows++;
      if (rows === part.height) return true;
    }
  }
  return false;
}

function golden(key: string) {
  const found = parseSafetensors(shared('golden/resnet20-dog-cat-64-layer3.2-top5.safetensors'), 'golden').get(key);
  if (!found) throw new Error(`the golden file has no ${key}`);
  return found.data;
}

describeShared('explain', () => {
  it('prints the predictions on stdout, progress on stderr only, and writes the pictures that it names', async () => {
    const out = join(temporaryFolder(), 'new', 'folder');
    const { status, stdout, stderr } = await fmgcam(explainArgs(DOG_CAT, '--size', '64', '--out', out, ...ON_CPU));
    expect(status).toBe(0);
    expect(stderr).toEqual(['device: cpu', expect.stringMatching(/dog-cat\.jpg: explained in \d+\.\d\d s$/)]);

    const [heading, ...lines] = stdout.trimEnd().split('\n');
    expect(heading).toBe(`${DOG_CAT}: fm-g-cam at layer3, mode paper`);
    expect(lines[0]).toMatch(/^ {2}1\. cat +93\.6 % {2}\(class 3\)$/);
    expect(lines[1]).toMatch(/^ {2}2\. dog +6\.2 % {2}\(class 5\)$/);
    const files = lines.slice(5).map((line) => line.trim());
    expect(files.map((file) => basename(file))).toEqual([
      'dog-cat.fm-g-cam.png',
      'dog-cat.grad-cam-1-cat.png',
      'dog-cat.grad-cam-2-dog.png',
      expect.stringMatching(/^dog-cat\.grad-cam-3-[a-z]+\.png$/),
      expect.stringMatching(/^dog-cat\.grad-cam-4-[a-z]+\.png$/),
      expect.stringMatching(/^dog-cat\.grad-cam-5-[a-z]+\.png$/),
      'dog-cat.contact-sheet.png',
    ]);
    expect(readdirSync(out).toSorted()).toEqual(files.map((file) => basename(file)).toSorted());

    const pictures = await Promise.all(files.map(picture));
    const photo = await picture(DOG_CAT);
    for (const { width, height } of pictures) {
      expect(width).toBeGreaterThan(photo.width);
      expect(height).toBeGreaterThan(photo.height);
      expect(width * height).toBeLessThan(100 * photo.width * photo.height);
    }
    const [fused, sheet] = [pictures.at(0), pictures.at(-1)];
    // Photograph, fused picture and five classes: at least two of them side by side.
    expect(sheet?.width).toBeGreaterThan(2 * photo.width);
    expect(fused && contains(fused, photo)).toBe(false);
  });

  it('prints with --json nothing but JSON, with the probabilities that PyTorch computes', async () => {
    const out = temporaryFolder();
    const { device, layer, method, mode, activation, results } = await report(
      ...[DOG_CAT, '--size', '64', '--out', out, ...ON_CPU],
    );
    expect({ device, layer, method, mode, activation }).toEqual({
      device: 'cpu',
      layer: 'layer3',
      method: 'fm-g-cam',
      mode: 'paper',
      activation: 'relu',
    });
    expect(results).toHaveLength(1);
    const [{ image, classes, files } = { image: '', classes: [], files: [] }] = results;
    expect(image).toBe(DOG_CAT);
    const top = Array.from(golden('top'));
    expect(classes.map(({ index }) => index)).toEqual(top);
    const expected = (key: string) => top.map((index) => golden(key)[index] ?? Number.NaN);
    expectClose(
      classes.map(({ probability }) => probability),
      expected('probs'),
      1e-4,
      'probabilities',
    );
    expectClose(
      classes.map(({ logit }) => logit),
      expected('logits'),
      1e-4,
      'logits',
    );
    expect(files).toHaveLength(7);
    expect(files.every((file) => existsSync(file))).toBe(true);
  });

  it('explains classes by name as by index', async () => {
    const names = await report(DOG_CAT, '--classes', 'cat,dog', ...ON_CPU);
    expect(names.results[0]?.classes.map(({ index, name }) => [index, name])).toEqual([
      [3, 'cat'],
      [5, 'dog'],
    ]);
    expect(await report(DOG_CAT, '--classes', '3, 5', ...ON_CPU)).toEqual(names);
  });

  it('leaves the fused picture out with --method grad-cam', async () => {
    const out = temporaryFolder();
    const { method } = await report(DOG_CAT, '--method', 'grad-cam', '--topk', '1', '--out', out, ...ON_CPU);
    expect(method).toBe('grad-cam');
    expect(readdirSync(out).toSorted()).toEqual(['dog-cat.contact-sheet-grad-cam.png', 'dog-cat.grad-cam-1-dog.png']);
  });

  it('draws other pictures with --mode reference and --activation gelu', async () => {
    const pictures = await Promise.all(
      [[], ['--mode', 'reference'], ['--activation', 'gelu']].map(async (options) => {
        const out = ['--out', temporaryFolder()];
        const { results } = await report(DOG_CAT, '--size', '64', '--topk', '2', ...out, ...options, ...ON_CPU);
        return readFileSync(results[0]?.files[0] ?? '').toString('base64');
      }),
    );
    expect(new Set(pictures).size).toBe(3);
  });

  it('explains several images, PNG and JPEG', async () => {
    const out = temporaryFolder();
    const { results } = await report(DOG_CAT, COCO, '--topk', '2', '--out', out, ...ON_CPU);
    expect(results.map(({ image }) => image)).toEqual([DOG_CAT, COCO]);
    const files = results.flatMap((result) => result.files.map((file) => basename(file)));
    expect(files).toHaveLength(8);
    expect(readdirSync(out).toSorted()).toEqual(files.toSorted());
  });

  it('explains the others when an image fails', async () => {
    const broken = `${COCO}.missing`;
    const { status, stdout, stderr } = await fmgcam(
      explainArgs(DOG_CAT, broken, '--size', '64', '--topk', '2', ...ON_CPU),
    );
    expect(status).toBe(1);
    expect(stdout).toContain('1. cat');
    expect(stderr).toContain(`${broken}: cannot be read: there is no such file`);
    expect(stderr.at(-1)).toBe('fmgcam: 1 of 2 images could not be read; the others are explained');
  });

  it('leaves the pixels of the photograph as they are with --heatmap-alpha 0', async () => {
    const out = temporaryFolder();
    // This photograph is large enough not to be enlarged for the text below it.
    await report(COCO, '--heatmap-alpha', '0', '--topk', '1', '--out', out, ...ON_CPU);
    const fused = await picture(join(out, `${basename(COCO, '.jpg')}.fm-g-cam.png`));
    expect(contains(fused, await decodeImage(readFileSync(COCO), COCO))).toBe(true);
  });

  it('says that there are no pictures without --out', async () => {
    const { stderr } = await fmgcam(explainArgs(DOG_CAT, ...ON_CPU));
    expect(stderr.at(-1)).toBe('no --out: no pictures were written');
  });
});

const missing = await missingWebGpu();

describeShared('explain on WebGPU', () => {
  describe.skipIf(missing !== undefined)(missing ? `(skipped: no WebGPU adapter: ${missing})` : 'as a whole', () => {
    it('finds the classes that PyTorch finds, and writes the pictures', async () => {
      const out = temporaryFolder();
      const { device, results } = await report(DOG_CAT, '--size', '64', '--out', out, '--device', 'webgpu');
      expect(device).toMatch(/^webgpu \(.+\)$/);
      expect(results[0]?.classes.map(({ index }) => index)).toEqual(Array.from(golden('top')));
      expect(readdirSync(out)).toHaveLength(7);
    });
  });
});

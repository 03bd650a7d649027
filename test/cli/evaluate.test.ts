import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { encodePng } from '../../src/image/encode.ts';
import { filledImage } from '../../src/image/image.ts';
import type { ResultRecord } from '../../src/metrics/evaluation/records.ts';
import type { Summary } from '../../src/metrics/evaluation/summary.ts';
import { fmgcam, MODEL, ON_CPU, type Run, type RunOptions, temporaryFolder, WEIGHTS } from '../support/command.ts';
import { uniform } from '../support/random-model.ts';
import { describeShared } from '../support/shared.ts';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** As quick as it gets: what is tested here is the book-keeping. */
const QUICK = ['--size', '16', '--topk', '2', '--steps', '3', '--protocol', 'described', ...ON_CPU];

/** A folder with images of noise: 0.png, 1.png, ... */
async function imageFolder(count: number): Promise<string> {
  const folder = join(temporaryFolder(), 'images');
  mkdirSync(folder);
  for (let i = 0; i < count; i++) {
    const random = uniform(i + 1);
    const data = Uint8Array.from({ length: 3 * 12 * 9 }, () => 127 + 127 * random());
    writeFileSync(join(folder, `${i}.png`), await encodePng({ width: 12, height: 9, data }));
  }
  return folder;
}

const argsOf = (source: string, out: string, ...args: readonly string[]) => [
  'evaluate',
  source,
  ...MODEL,
  ...QUICK,
  '--out',
  out,
  ...args,
];

async function evaluate(
  source: string,
  out: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<Run> {
  return fmgcam(argsOf(source, out, ...args), options);
}

async function expectSuccess(run: Promise<Run>): Promise<Run> {
  const result = await run;
  expect(result.status, result.stderr.join('\n')).toBe(0);
  return result;
}

async function expectFailure(run: Promise<Run>, message: string | RegExp, status = 1): Promise<void> {
  const result = await run;
  expect(result.stderr.at(-1)).toMatch(message);
  expect(result.status).toBe(status);
}

const lines = (file: string) => readFileSync(file, 'utf8').trimEnd().split('\n');
const results = (
  file: string,
): { image: string; method?: string; error?: string; ranks?: { class: string; dauc: number }[] }[] =>
  lines(file)
    .slice(1)
    .map((line) => JSON.parse(line));
const outIn = (folder: string, name = 'results.jsonl') => join(folder, '..', name);

describeShared('evaluate', () => {
  it('writes a line for each image and method, and prints the table', async () => {
    const folder = await imageFolder(3);
    const out = outIn(folder);
    const { stdout, stderr } = await expectSuccess(evaluate(folder, out));
    expect(results(out).map(({ image, method }) => `${image} ${method}`)).toEqual(
      ['0.png', '1.png', '2.png'].flatMap((image) => [`${image} fm-g-cam`, `${image} grad-cam`]),
    );
    expect(results(out).every(({ ranks }) => ranks?.length === 2)).toBe(true);
    const header = JSON.parse(lines(out)[0] ?? '');
    expect(header.settings).toMatchObject({ protocol: 'described', layer: 'layer3', metrics: { steps: 3 } });
    expect(stdout).toMatch(/^protocol described: resnet20-cifar10 at layer3, 3 images\n/);
    expect(stdout).toMatch(/\nfm-g-cam - grad-cam +2 +DC +3 +/);
    expect(stderr.at(-1)).toMatch(/^3 of 3 images, [\d.]+ images\/s, 0 s left$/);
    expect(existsSync(`${out}.lock`)).toBe(false);
  });

  it('protocol published: other preparation, layer, fill and class', async () => {
    const folder = await imageFolder(1);
    const out = outIn(folder);
    await expectSuccess(evaluate(folder, out, ['--protocol', 'published']));
    expect(JSON.parse(lines(out)[0] ?? '').settings).toMatchObject({
      layer: 'layer3.2.conv2',
      squashFirst: { size: 16, filter: 'bicubic' },
      scoredClass: 'rank-as-index',
      samples: 'each',
      metrics: { deletionFill: 'box-blur', insertionFill: 'box-blur' },
    });
    expect(JSON.parse(lines(out)[1] ?? '').ranks.map(({ scored }: { scored: number }) => scored)).toEqual([0, 1]);
  });

  it('a broken image is one line with its error, not the end', async () => {
    const folder = await imageFolder(2);
    writeFileSync(join(folder, '00.jpg'), 'no image');
    const out = outIn(folder);
    const { stdout, stderr } = await expectSuccess(evaluate(folder, out));
    expect(results(out).filter(({ error }) => error)).toEqual([
      { image: '00.jpg', error: `${join(folder, '00.jpg')}: not an image that is known; give a PNG or JPEG image` },
    ]);
    expect(results(out)).toHaveLength(5);
    expect(stdout).toContain('2 images, 1 more failed');
    expect(stderr.at(-1)).toMatch(/, 1 failed$/);
  });

  describe('goes on', () => {
    it('after being killed, with the same result as without', async () => {
      const folder = await imageFolder(12);
      const [out, whole] = [outIn(folder), outIn(folder, 'whole.jsonl')];
      const { stdout } = await expectSuccess(evaluate(folder, whole));
      const child = spawn(process.execPath, [MAIN, ...argsOf(folder, out)], { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.on('close', resolve));
      while (child.exitCode === null && !(existsSync(out) && lines(out).length > 3))
        await new Promise((r) => setTimeout(r, 2));
      child.kill('SIGKILL');
      await ended;
      expect(lines(out).length, 'killed before the end').toBeLessThan(25);
      expect(existsSync(`${out}.lock`), 'a killed process leaves its lock').toBe(true);
      const resumed = await expectSuccess(evaluate(folder, out));
      expect(readFileSync(out)).toEqual(readFileSync(whole));
      expect(resumed.stdout).toBe(stdout);
      expect(resumed.stderr.join('\n')).toMatch(/\d+ of 12 images are done already/);
    });

    it.each([
      ['a line that was cut off', -40],
      ['a line without its line feed', -1],
      ['a header that was cut off', 50],
      ['an empty file', 0],
    ])('after %s', async (_, at) => {
      const folder = await imageFolder(2);
      const out = outIn(folder);
      await expectSuccess(evaluate(folder, out));
      const whole = readFileSync(out);
      truncateSync(out, at < 0 ? whole.length + at : at);
      await expectSuccess(evaluate(folder, out));
      expect(readFileSync(out)).toEqual(whole);
    });

    it('after SIGTERM, which unlocks the file', async () => {
      const folder = await imageFolder(12);
      const out = outIn(folder);
      const child = spawn(process.execPath, [MAIN, ...argsOf(folder, out)], { stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      const ended = new Promise((resolve) => child.on('close', resolve));
      while (child.exitCode === null && !(existsSync(out) && lines(out).length > 2))
        await new Promise((r) => setTimeout(r, 2));
      child.kill('SIGTERM');
      expect(await ended).toBe(143);
      expect(stderr.trimEnd().split('\n').at(-1)).toBe(
        'fmgcam: stopped by SIGTERM; the same command goes on where it stopped',
      );
      expect(existsSync(`${out}.lock`)).toBe(false);
      expect(results(out).length % 2).toBe(0);
    });

    it('and does nothing when all is done', async () => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      await expectSuccess(evaluate(folder, out));
      const { stderr } = await expectSuccess(evaluate(folder, out));
      expect(stderr.at(-1)).toBe('1 of 1 images are done already');
    });
  });

  describe('refuses, and leaves the results as they are,', () => {
    it.each([
      [
        'other settings',
        ['--steps', '5'],
        /comes from other settings \(metrics\.steps: 3, not 5\); name another file$/,
      ],
      [
        'another shard',
        ['--shard', '1/2'],
        /holds shard 1\/1, and this is shard 1\/2; give each shard a file of its own$/,
      ],
    ])('results of %s', async (_, args, message) => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      await expectSuccess(evaluate(folder, out));
      const before = readFileSync(out);
      await expectFailure(evaluate(folder, out, args), message);
      expect(readFileSync(out)).toEqual(before);
      expect(existsSync(`${out}.lock`)).toBe(false);
    });

    it('results of another list', async () => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      await expectSuccess(evaluate(folder, out));
      copyFileSync(join(folder, '0.png'), join(folder, 'more.png'));
      await expectFailure(evaluate(folder, out), /comes from another list of 1 images; name another file$/);
    });

    it('a file that is no results file', async () => {
      const folder = await imageFolder(1);
      for (const content of ['{"a":1}\n', 'hello', '{"format":"fm-g-cam evaluation","version":9}\n']) {
        const out = outIn(folder);
        writeFileSync(out, content);
        await expectFailure(evaluate(folder, out), /is no results file|has version 9/);
        expect(readFileSync(out, 'utf8')).toBe(content);
      }
    });

    it('a line in the middle that is broken, or that is there twice', async () => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      await expectSuccess(evaluate(folder, out));
      const good = readFileSync(out, 'utf8');
      appendFileSync(out, `${lines(out)[1]}\n`);
      await expectFailure(evaluate(folder, out), /0\.png with fm-g-cam is counted twice; take one of the lines out$/);
      writeFileSync(out, `${good.trimEnd().slice(0, -5)}\n`);
      await expectFailure(
        evaluate(folder, out),
        /line 3: is no result; take the line out, and the image is evaluated again$/,
      );
    });

    it('a file that another process writes', async () => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      writeFileSync(`${out}.lock`, `${process.pid} ${hostname()}`);
      await expectFailure(evaluate(folder, out), `is being written by process ${process.pid} on ${hostname()}`);
      expect(existsSync(out)).toBe(false);
      writeFileSync(`${out}.lock`, '1 another-machine');
      await expectFailure(evaluate(folder, out), 'is being written by process 1 on another-machine');
      // Of a process that has ended.
      const { pid } = spawnSync(process.execPath, ['--version']);
      writeFileSync(`${out}.lock`, `${pid} ${hostname()}`);
      await expectSuccess(evaluate(folder, out));
    });
  });

  describe('a full disk', () => {
    it.skipIf(!existsSync('/dev/full'))('at once', async () => {
      const folder = await imageFolder(1);
      await expectFailure(
        evaluate(folder, '/dev/full'),
        /^fmgcam: \/dev\/full: cannot be written: the disk is full; what was written/,
      );
    });

    const underBash = (folder: string, out: string, script: (command: string) => string) => {
      const command = [process.execPath, MAIN, ...argsOf(folder, out)].map((arg) => `'${arg}'`).join(' ');
      return spawnSync('bash', ['-c', script(command)], { encoding: 'utf8' });
    };

    it('before the first line: nothing is left, not even a lock', async () => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      const { stderr, status } = underBash(folder, out, (command) => `trap '' XFSZ; ulimit -f 0; exec ${command}`);
      expect(stderr).toMatch(/^fmgcam: .*results\.jsonl: cannot be written: /);
      expect(status).toBe(1);
      expect([existsSync(out), existsSync(`${out}.lock`)]).toEqual([false, false]);
    });

    it.skipIf(!existsSync('/dev/full'))('behind standard output: the results are kept, and it says so', async () => {
      const folder = await imageFolder(1);
      const out = outIn(folder);
      const { stderr, status } = underBash(folder, out, (command) => `exec ${command} > /dev/full`);
      expect(stderr).toMatch(/\nfmgcam: the results cannot be printed: the disk is full\n$/);
      expect(status).toBe(1);
      expect(results(out)).toHaveLength(2);
    });

    it('after a while: what was written is kept whole, and the run goes on when there is room', async () => {
      const folder = await imageFolder(4);
      const [out, whole] = [outIn(folder), outIn(folder, 'whole.jsonl')];
      await expectSuccess(evaluate(folder, whole));
      // A limit on the size of files fails as a full disk does, in the middle of a line.
      const blocks = Math.floor(readFileSync(whole).length / 2 / 1024);
      const limited = underBash(folder, out, (command) => `trap '' XFSZ; ulimit -f ${blocks}; exec ${command}`);
      expect(limited.stderr.trimEnd().split('\n').at(-1)).toMatch(
        /results\.jsonl: cannot be written: .*; what was written before is kept/,
      );
      expect(limited.status).toBe(1);
      expect(readFileSync(whole, 'utf8').startsWith(readFileSync(out, 'utf8'))).toBe(true);
      expect(readFileSync(out, 'utf8')).toMatch(/\n$/);
      await expectSuccess(evaluate(folder, out));
      expect(readFileSync(out)).toEqual(readFileSync(whole));
    });
  });

  it('refuses lists and folders that name nothing, or something twice', async () => {
    const folder = temporaryFolder();
    const out = join(folder, 'out.jsonl');
    await expectFailure(evaluate(folder, out), `${folder}: has no file that ends in .jpg, .jpeg, .png`);
    await expectFailure(evaluate(join(folder, 'none'), out), 'there is no such folder or list');
    const list = join(folder, 'list.txt');
    writeFileSync(list, '\n \n');
    await expectFailure(evaluate(list, out), 'names no image; write one into each line');
    writeFileSync(list, 'a.png\nb.png\n./a.png\n');
    await expectFailure(evaluate(list, out), 'names a.png twice; take one of the lines out');
    await expectFailure(evaluate('x.png', out), /there is no such folder or list/);
    await expectFailure(evaluate(folder, join(folder, 'no', 'out.jsonl')), 'is not a folder');
    expect(existsSync(out)).toBe(false);
  });

  it('refuses options that do not fit', async () => {
    const folder = await imageFolder(1);
    const out = outIn(folder);
    await expectFailure(
      evaluate(folder, out, ['--method', 'lime']),
      'method "lime" is unknown to protocol described',
      2,
    );
    await expectFailure(evaluate(folder, out, ['--method', 'grad-cam,grad-cam']), 'names one method twice', 2);
    await expectFailure(evaluate(folder, out, ['--topk', '11']), 'this model has 10 classes', 2);
    await expectFailure(evaluate(folder, out, ['--layer', 'layer9']), 'layer "layer9" not found', 2);
    await expectFailure(evaluate(folder, out, ['--shard', '3/2']), 'use i/n with i from 1 to n', 2);
    expect(existsSync(out)).toBe(false);
  });

  it('a list may be in any order, relative to its own folder; a missing image is a line with its error', async () => {
    const folder = await imageFolder(2);
    writeFileSync(join(folder, 'list.txt'), '1.png\r\nnone.png\r\n0.png\r\n');
    const out = outIn(folder);
    await expectSuccess(evaluate(join(folder, 'list.txt'), out));
    expect(results(out).map(({ image }) => image)).toEqual(['0.png', '0.png', '1.png', '1.png', 'none.png']);
    const { stderr } = await expectSuccess(evaluate(join(folder, 'list.txt'), out));
    expect(stderr.at(-1)).toBe(
      '3 of 3 images are done already, 1 of them with an error: take their lines out of the results to try again',
    );
  });

  it('a list may begin with a byte order mark and have absolute names, which are the same images', async () => {
    const folder = await imageFolder(1);
    const list = join(folder, 'list.txt');
    writeFileSync(list, `\uFEFF${join(folder, '0.png')}\n`);
    const out = outIn(folder);
    await expectSuccess(evaluate(list, out));
    expect(results(out).map(({ image, error }) => [image, error])).toEqual(
      new Array(2).fill([join(folder, '0.png'), undefined]),
    );
    writeFileSync(list, `0.png\n${join(folder, '0.png')}\n`);
    await expectFailure(evaluate(list, out), /list\.txt: names .*0\.png twice; take one of the lines out$/);
  });
});

describeShared('ground truth', () => {
  const line = (image: string, masks: Record<string, string>) => `${JSON.stringify({ image, masks })}\n`;
  const white = (width: number, height: number) => encodePng(filledImage(width, height, [1, 1, 1]));

  async function listed(...content: string[]) {
    const folder = await imageFolder(2);
    const list = join(folder, 'list.jsonl');
    writeFileSync(list, content.join(''));
    return { folder, list, out: outIn(folder) };
  }

  it('of the classes that have a mask: all inside a mask of everything, and one number for each class and method', async () => {
    const { folder, list, out } = await listed('1.png\n', line('0.png', { cat: 'all.png', 5: 'left.png' }));
    writeFileSync(join(folder, 'all.png'), await white(12, 9));
    const left = filledImage(12, 9, [0, 0, 0]);
    for (let y = 0; y < 9; y++) left.data.fill(255, 36 * y, 36 * y + 18);
    writeFileSync(join(folder, 'left.png'), await encodePng(left));
    const { stdout } = await expectSuccess(evaluate(list, out, ['--topk', '10', '--iou-threshold', '0.000001']));
    const header = JSON.parse(lines(out)[0] ?? '');
    expect(header.settings.iouThreshold).toBe(1e-6);
    expect(header.list.masks).toMatch(/^[0-9a-f]{64}$/);

    const [first, , third] = lines(out)
      .slice(1)
      .map((text): ResultRecord => JSON.parse(text));
    expect(
      first?.ranks
        .filter(({ pointing }) => pointing !== undefined)
        .map(({ index }) => index)
        .sort(),
    ).toEqual([3, 5]);
    expect(third?.ranks.every((rank) => !('pointing' in rank || 'energy' in rank || 'iou' in rank))).toBe(true);
    const gradCam = lines(out)
      .slice(1)
      .map((text): ResultRecord => JSON.parse(text))
      .find(({ image, method }) => image === '0.png' && method === 'grad-cam');
    for (const { index, pointing, energy, map, undefinedBecause } of gradCam?.ranks ?? []) {
      if (index !== 3 && index !== 5) continue;
      const positive = map?.levels.some((level) => level > 0);
      if (!positive) expect(undefinedBecause?.energy).toBe('the map has no positive value');
      else if (index === 3) expect([pointing, energy]).toEqual([1, 1]);
      else expect(energy).toBeLessThan(1);
    }
    expect(stdout).toMatch(/mean pointing +n +mean energy +n +mean IoU +n\n/);
    expect(stdout).toMatch(/\nfm-g-cam - grad-cam +\d+ +IoU +\d /);
  });

  it('refuses a list that is no list, and classes that are unknown or named twice', async () => {
    const { list, out } = await listed(line('0.png', { unicorn: 'all.png' }));
    await expectFailure(evaluate(list, out), /list\.jsonl, line 1: class "unicorn" is unknown to resnet20-cifar10/);
    writeFileSync(list, `1.png\n{"image": 7}\n`);
    await expectFailure(evaluate(list, out), /list\.jsonl, line 2: write \{"image": "a\.jpg"/);
    writeFileSync(list, '{"image": "0.png"');
    await expectFailure(evaluate(list, out), /list\.jsonl, line 1: write \{"image": "a\.jpg"/);
    writeFileSync(list, line('0.png', { cat: 'a.png', 3: 'b.png' }));
    await expectFailure(evaluate(list, out), /line 1: names one class twice/);
    await expectFailure(evaluate(list, out, ['--iou-threshold', '0']), 'marks every pixel; use more than 0', 2);
    expect(existsSync(out)).toBe(false);
  });

  it('an unusable mask is an error of its image; other masks are another list', async () => {
    const { folder, list, out } = await listed(line('0.png', { cat: 'mask.png' }), line('1.png', { cat: 'none.png' }));
    writeFileSync(join(folder, 'mask.png'), await white(9, 12));
    await expectSuccess(evaluate(list, out));
    expect(results(out).map(({ error }) => error)).toEqual([
      `${join(folder, 'mask.png')}: is 9 x 12, the image 12 x 9; give a mask of its size`,
      `${join(folder, 'none.png')}: cannot be read: there is no such file`,
    ]);
    writeFileSync(list, '0.png\n1.png\n');
    await expectFailure(
      evaluate(list, out),
      /comes from another list of 2 images with other masks; name another file$/,
    );
    writeFileSync(list, line('0.png', { cat: 'black.png' }));
    writeFileSync(join(folder, 'black.png'), await encodePng(filledImage(12, 9, [0, 0, 0])));
    const other = outIn(folder, 'other.jsonl');
    await expectSuccess(evaluate(list, other));
    expect(results(other)[0]?.error).toMatch(/black\.png: is all black; leave out classes that are not there$/);
  });
});

describeShared('shards', () => {
  async function shardsOf(folder: string, envs: readonly Record<string, string>[], args: readonly string[] = []) {
    const outs = envs.map((_, i) => outIn(folder, `shard-${i}.jsonl`));
    for (const [i, env] of envs.entries()) await expectSuccess(evaluate(folder, outs[i] ?? '', args, { env }));
    return outs;
  }
  const slurm = (id: number, min: number, count: number) => ({
    SLURM_ARRAY_TASK_ID: `${id}`,
    SLURM_ARRAY_TASK_MIN: `${min}`,
    SLURM_ARRAY_TASK_MAX: `${min + count - 1}`,
    SLURM_ARRAY_TASK_COUNT: `${count}`,
  });
  const merge = (files: readonly string[], out: string, ...args: string[]) =>
    fmgcam(['merge', ...files, '--out', out, ...args]);

  it('of a Slurm array that counts from 5, merged, are what one run gives', async () => {
    const folder = await imageFolder(5);
    writeFileSync(join(folder, '2.png'), 'broken');
    const whole = outIn(folder, 'whole.jsonl');
    const { stdout } = await expectSuccess(evaluate(folder, whole, ['--json']));
    const outs = await shardsOf(folder, [slurm(5, 5, 2), slurm(6, 5, 2)]);
    expect(
      outs.map((out) =>
        results(out)
          .map(({ image }) => image)
          .filter((image, i, all) => all.indexOf(image) === i),
      ),
    ).toEqual([
      ['0.png', '2.png', '4.png'],
      ['1.png', '3.png'],
    ]);
    const out = outIn(folder, 'merged.jsonl');
    const merged = await expectSuccess(merge(outs.toReversed(), out, '--json'));
    const summary: Summary = JSON.parse(merged.stdout);
    expect(summary.images).toBe(4);
    expect(summary.differences).toEqual(JSON.parse(stdout).differences);
    expect(lines(out).toSorted()).toEqual(lines(whole).toSorted());
  });

  it('of a Kubernetes Indexed Job know their number, and are told how many there are', async () => {
    const folder = await imageFolder(2);
    const outs = await shardsOf(
      folder,
      [{ JOB_COMPLETION_INDEX: '0' }, { JOB_COMPLETION_INDEX: '1' }],
      ['--shards', '2'],
    );
    await expectSuccess(merge(outs, outIn(folder, 'merged.jsonl')));
    const out = outIn(folder, 'more.jsonl');
    await expectFailure(evaluate(folder, out, [], { env: { JOB_COMPLETION_INDEX: '0' } }), 'give --shards', 2);
    await expectFailure(
      evaluate(folder, out, ['--shards', '2'], { env: { JOB_COMPLETION_INDEX: '2' } }),
      'counted from 0',
      2,
    );
  });

  it('of an array with gaps are refused, unless their number is given', async () => {
    const folder = await imageFolder(2);
    const env = { ...slurm(3, 1, 3), SLURM_ARRAY_TASK_COUNT: '2' };
    await expectFailure(evaluate(folder, outIn(folder), [], { env }), /with gaps; give --shards/, 2);
    await expectSuccess(evaluate(folder, outIn(folder), ['--shards', '4'], { env }));
    expect(JSON.parse(lines(outIn(folder))[0] ?? '').shard).toEqual({ index: 4, count: 4 });
  });

  it('merge finds what is missing, twice, or from elsewhere', async () => {
    const folder = await imageFolder(3);
    const [first = '', second = ''] = await shardsOf(folder, [slurm(0, 0, 2), slurm(1, 0, 2)]);
    const out = outIn(folder, 'merged.jsonl');
    await expectFailure(merge([first], out), '1 of 3 images are missing: those of shard 2/2; give all shards');
    await expectFailure(merge([first, first], out), 'is given twice', 2);
    copyFileSync(first, `${first}.copy`);
    await expectFailure(merge([first, second, `${first}.copy`], out), /0\.png with fm-g-cam is counted twice/);
    await expectFailure(merge([WEIGHTS], out), 'is no results file');
    const other = outIn(folder, 'other.jsonl');
    await expectSuccess(evaluate(folder, other, ['--shard', '2/2', '--steps', '2']));
    await expectFailure(merge([first, other], out), /is of another evaluation than .* \(metrics\.steps: 2, not 3\)/);
    truncateSync(second, readFileSync(second).length - 10);
    await expectFailure(
      merge([first, second], out),
      /1 of the 1 images of shard 2\/2 are missing; run that shard again/,
    );
    expect(existsSync(out)).toBe(false);
    writeFileSync(out, 'precious');
    await expectFailure(merge([first, second], out), 'is there already');
    expect(readFileSync(out, 'utf8')).toBe('precious');
  });
});

describe('evaluate without arguments', () => {
  it('says what is missing', async () => {
    await expectFailure(fmgcam(['evaluate']), "required option '--protocol <name>' not specified", 2);
    await expectFailure(fmgcam(['merge', 'a']), "required option '--out <file>' not specified", 2);
  });
});

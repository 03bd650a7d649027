import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';

/* The programs of training/, on the real artwork: a package of its own that not everybody has installed. */

const FOLDER = fileURLToPath(new URL('../../training/', import.meta.url));
const missing = existsSync(`${FOLDER}node_modules`) ? undefined : 'run "npm ci --prefix training --ignore-scripts"';

const out = mkdtempSync(join(tmpdir(), 'scenes-'));
afterAll(() => rmSync(out, { recursive: true }));

function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('node', [`${FOLDER}run.mjs`, ...args], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

describe.skipIf(missing !== undefined)(missing ? `training (skipped: ${missing})` : 'training', () => {
  it('in instalments ends with the very weights of one that was not interrupted', () => {
    const train = (folder: string, ...more: string[]) =>
      run(
        'train',
        '--images',
        '8',
        '--crowded',
        '8',
        '--batch',
        '4',
        '--threads',
        '1',
        '--out',
        `${out}/${folder}`,
        ...more,
      );
    train('whole');
    train('parts', '--until', '8');
    expect(train('parts')).toContain('goes on at step 2 of 4');
    const [whole, parts] = ['whole', 'parts'].map((folder) => readFileSync(`${out}/${folder}/checkpoint.safetensors`));
    expect(parts?.equals(whole ?? Buffer.of())).toBe(true);

    const network = readFileSync(`${out}/whole/network.safetensors`);
    expect(network.length).toBeLessThan(4 * 2 ** 20);
    expect(parseSafetensors(network, 'network.safetensors').get('fc.weight')?.shape).toEqual([24, 256]);
  });

  it('gives the same weights with three threads as with one', () => {
    run('train', '--images', '8', '--crowded', '8', '--batch', '4', '--threads', '3', '--out', `${out}/threads`);
    const [one, three] = ['whole', 'threads'].map((folder) => readFileSync(`${out}/${folder}/checkpoint.safetensors`));
    expect(three?.equals(one ?? Buffer.of())).toBe(true);
  });

  it('is evaluated on the unseen style, class by class', () => {
    const weights = `${out}/whole/network.safetensors`;
    const lines = run('evaluate', '--weights', weights, '--scenes', '10', '--threads', '1').split('\n');
    expect(lines[0]).toMatch(/^one object, named first: \d+\.\d % of 10$/);
    expect(lines.filter((line) => line.startsWith('  '))).toHaveLength(24);
    expect(lines.at(-2)).toMatch(/^two objects, both in the top two: \d+\.\d % of 10; /);
  });

  it('measures how well the maps find the objects', () => {
    const weights = `${out}/whole/network.safetensors`;
    const table = run('localise', '--weights', weights, '--scenes', '3', '--methods', 'fm-grad-cam,fm-gradient');
    const rows = table.trimEnd().split('\n').slice(2);
    expect(rows.map((row) => row.split(' | ')[0])).toEqual(['| a map of one value', '| grad-cam', '| gradient']);
    for (const row of rows) expect(row).toMatch(/^(\| [^|]+ )(\| \d+\.\d % ){4}\|$/);
  });

  it('draws scenes for people, named after what is in them', () => {
    const [line = ''] = run('draw', '--out', `${out}/drawn`, '--scenes', '1', '--scale', '2').split('\n');
    const [, file = ''] = /^scene 1: (.*\/[a-z]+-[a-z]+\.png)$/.exec(line) ?? [];
    const png = readFileSync(file);
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([192, 192]);
  });

  it.each([
    [['draw', '--style', 'oils'], '--style oils: use one of noto, '],
    [['paint'], 'say what to run: train, sheet, evaluate, localise, draw'],
    [['train', '--images', 'many'], '--images many: give a whole number from 1'],
    [['train', '--rate=-1'], '--rate -1: give a number from 0 to 1'],
    [['train', '--images', '16', '--batch', '32'], 'a warm-up of 0 steps does not fit a training of 0'],
    [['evaluate', '--weights', `${out}/none.safetensors`], 'no such file'],
  ])('refuses %j', (args, message) => {
    const { status, stderr } = spawnSync('node', [`${FOLDER}run.mjs`, ...args], { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^training: /);
  });
});

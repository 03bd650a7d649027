import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { DOG_CAT, fmgcam, MODEL, ON_CPU, temporaryFolder } from '../support/command.ts';
import { expectClose } from '../support/numbers.ts';
import { describeShared, shared } from '../support/shared.ts';

const explainArgs = (...args: readonly string[]) => ['explain', ...MODEL, DOG_CAT, ...args, ...ON_CPU];

describeShared('explain --method', () => {
  it('fuses the maps of another method, and names the pictures by it', async () => {
    const out = temporaryFolder();
    const args = [
      '--method',
      'fm-hires-cam',
      '--layer',
      'layer2,layer3',
      '--classes',
      'dog,cat',
      '--signed',
      '--counterfactual',
    ];
    const { status, stdout, stderr } = await fmgcam(explainArgs(...args, '--out', out));
    expect(status, stderr.join('\n')).toBe(0);
    expect(stdout.split('\n')[0]).toBe(`${DOG_CAT}: fm-hires-cam at layer2, layer3`);
    expect(readdirSync(out).toSorted()).toEqual([
      'dog-cat.contact-sheet-fm-hires-cam-counterfactual-signed.png',
      'dog-cat.fm-hires-cam-counterfactual-signed.png',
      'dog-cat.hires-cam-counterfactual-signed-1-dog.png',
      'dog-cat.hires-cam-counterfactual-signed-2-cat.png',
    ]);
  });

  it('explains the image itself where a method has no layer', async () => {
    const args = ['--method', 'occlusion', '--patch', '16', '--stride', '16', '--topk', '1', '--json'];
    const { status, stdout } = await fmgcam(explainArgs(...args));
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.method).toBe('occlusion');
    expect(report).not.toHaveProperty('layer');
  });

  it('saves the maps of any method', async () => {
    const file = join(temporaryFolder(), 'maps.safetensors');
    const args = ['--method', 'fm-hires-cam', '--layer', 'layer3.2', '--size', '64', '--save-tensors', file];
    expect((await fmgcam(explainArgs(...args))).status).toBe(0);
    const saved = parseSafetensors(readFileSync(file), file);
    expect([...saved.keys()].toSorted()).toEqual(
      ['S', 'S_normalised', 'fused', 'logits', 'probs', 'raw', 'singles', 'top'].toSorted(),
    );
    const golden = parseSafetensors(shared('golden/resnet20-dog-cat-64-layer3.2-top5.safetensors'), 'golden');
    expectClose(saved.get('raw')?.data ?? [], golden.get('peer/hires-cam/raw')?.data ?? [], 1e-5);
  });

  it('stops on Ctrl-C with one line, status 130 and no pictures', async () => {
    const out = temporaryFolder();
    const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
    const args = explainArgs('--method', 'rise', '--samples', '100000', '--out', out);
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      // The first line that says how far it is.
      if (text.includes(' %')) child.kill('SIGINT');
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect(stderr.trimEnd().split('\n').at(-1)).toBe('fmgcam: stopped by SIGINT; pictures that were written are whole');
    expect(status).toBe(130);
    expect(readdirSync(out)).toEqual([]);
  });

  it.each<[readonly string[], string]>([
    [['--method', 'rise', '--layer', 'layer3'], '--method rise explains the image itself; leave --layer out'],
    [['--method', 'grad-cam', '--patch', '3'], 'grad-cam has no option patch; it knows eigenSmooth'],
    [['--method', 'fm-dff'], 'method "fm-dff": dff has no map for each class, and nothing to fuse; use dff'],
    [
      ['--layer', 'layer3,layer4'],
      'layer "layer4" not found; this model has conv1, bn1, layer1, layer2, layer3, linear',
    ],
    [
      ['--method', 'hires-cam', '--trace', 'page.html'],
      '--trace walks through FM-G-CAM at one layer; leave --method and what changes it out',
    ],
    [
      ['--signed', '--mode', 'reference'],
      'mode reference is FM-G-CAM at one layer; leave the mode out, or the other options',
    ],
    [
      ['--method', 'seg-xres-cam', '--region', '1,2,3'],
      "option '--region <x,y,w,h>' argument '1,2,3' is invalid. Use x,y,width,height in pixels of the photograph.",
    ],
    [['--epsilon', '-1'], "option '--epsilon <number>' argument '-1' is invalid. Use a number above 0."],
  ])('refuses %j', async (args, message) => {
    const { status, stdout, stderr } = await fmgcam(explainArgs(...args));
    expect(stderr.filter((line) => !line.startsWith('device: '))).toEqual([`fmgcam: ${message}`]);
    expect(status).toBe(2);
    expect(stdout).toBe('');
  });

  it('refuses an unknown method and names all', async () => {
    const { status, stderr } = await fmgcam(explainArgs('--method', 'gradcam'));
    expect(status).toBe(2);
    expect(stderr).toEqual([
      expect.stringMatching(
        /^fmgcam: .*method "gradcam" is unknown; use fm-g-cam, or grad-cam, .*, lrp, or fm- and one/,
      ),
    ]);
  });
});

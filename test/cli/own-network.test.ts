import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/nn/model.ts';
import { fmgcam, ON_CPU, temporaryFolder } from '../support/command.ts';

/* The network that comes with the package, and the pictures that it is shown with. */

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const { scripts } = JSON.parse(readFileSync(root('package.json'), 'utf8'));
const [, ...demo]: string[] = scripts.demo.replace('node dist/cli/main.js', 'node').split(' ');
const pictures = demo.filter((argument) => argument.startsWith('examples/'));

describe('the network that comes with the package', () => {
  it('is small, and has the classes that the registry says', () => {
    const bytes = readFileSync(root('models/resnet-scenes.safetensors'));
    expect(bytes.length).toBeLessThan(4e6);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))));
    expect(header['fc.weight'].dtype).toBe('F16');
    expect(loadModel('resnet-scenes', bytes).labels).toEqual(JSON.parse(header.__metadata__.classes));
  });

  it('explains the pictures of the demo, finds in each what it is named after, and says who it is', async () => {
    const out = temporaryFolder();
    const args = demo.map((argument) => (argument.startsWith('examples/') ? root(argument) : argument));
    const { status, stdout, stderr } = await fmgcam([
      ...args.with(args.indexOf('--out') + 1, out),
      ...['--json', ...ON_CPU],
    ]);
    expect(status, stderr.join('\n')).toBe(0);
    expect(stderr).toContainEqual(expect.stringContaining('network: resnet-scenes, which comes with fm-g-cam'));
    const { results }: { results: { image: string; classes: { name: string }[]; files: string[] }[] } =
      JSON.parse(stdout);
    expect(results.map(({ image }) => image)).toEqual(pictures.map(root));
    for (const { image, classes, files } of results) {
      for (const { name } of classes) expect(image).toContain(name);
      expect(files.map((file) => file.startsWith(join(out, '')))).toEqual(files.map(() => true));
      for (const file of files) expect(readFileSync(file).toString('latin1', 1, 4)).toBe('PNG');
    }
  });

  it('is what layers lists when no model is named', async () => {
    const { stdout } = await fmgcam(['layers', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ model: 'resnet-scenes', default: 'layer4' });
  });
});

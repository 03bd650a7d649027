import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DOG_CAT, fmgcam, MODEL, ON_CPU, temporaryFolder } from '../support/command.ts';
import { describeShared } from '../support/shared.ts';

describeShared('explain --format svg', () => {
  it('writes the same figures as SVG, with the classes and probabilities as text', async () => {
    const out = temporaryFolder();
    const args = [DOG_CAT, '--size', '64', '--topk', '2', '--out', out, '--format', 'svg'];
    const { status, stderr } = await fmgcam(['explain', ...MODEL, ...ON_CPU, ...args]);
    expect(status, stderr.join('\n')).toBe(0);
    expect(readdirSync(out).toSorted()).toEqual([
      'dog-cat.contact-sheet.svg',
      'dog-cat.fm-g-cam.svg',
      'dog-cat.grad-cam-1-cat.svg',
      'dog-cat.grad-cam-2-dog.svg',
    ]);
    for (const name of ['dog-cat.fm-g-cam.svg', 'dog-cat.contact-sheet.svg']) {
      const text = readFileSync(join(out, name), 'utf8');
      for (const words of ['cat', '93.6 %', 'dog', '6.2 %']) expect(text).toContain(`>${words}</text>`);
      expect(text).toContain('href="data:image/png;base64,');
    }
  });

  it('refuses another format', async () => {
    const { status, stderr } = await fmgcam(['explain', ...MODEL, DOG_CAT, '--format', 'bmp']);
    expect(status).toBe(2);
    expect(stderr).toEqual([expect.stringContaining('Allowed choices are png, svg')]);
  });
});

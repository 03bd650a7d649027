import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DOG_CAT, fmgcam, MODEL, ON_CPU, sharedPath, temporaryFile, temporaryFolder } from '../support/command.ts';
import { describeShared } from '../support/shared.ts';

/* Several images on one command line. */

const COCO = sharedPath('images/coco-000000000078.jpg');
const explainArgs = (...args: readonly string[]) => ['explain', ...MODEL, '--topk', '2', ...args, ...ON_CPU];

interface Report {
  readonly results: readonly { readonly image: string; readonly classes: readonly { readonly logit: number }[] }[];
}

describeShared('several images', () => {
  it('say together what they say one by one', async () => {
    const third = join(temporaryFolder(), 'third.jpg');
    copyFileSync(DOG_CAT, third);
    const images = [DOG_CAT, COCO, third];
    const reportOf = async (...args: readonly string[]): Promise<Report> => {
      const { status, stdout, stderr } = await fmgcam(explainArgs(...images, '--json', ...args));
      expect(status, stderr.join('\n')).toBe(0);
      expect(stderr.filter((line) => line.includes('explained in'))).toHaveLength(args.length > 0 ? 2 : 3);
      return JSON.parse(stdout);
    };
    const [single, together] = [await reportOf(), await reportOf('--batch', '2')];
    expect(together.results.map(({ image }) => image)).toEqual(images);
    for (const [n, { classes }] of together.results.entries()) {
      for (const [k, { logit }] of classes.entries()) {
        expect(logit).toBeCloseTo(single.results[n]?.classes[k]?.logit ?? Number.NaN, 4);
      }
    }
  });

  it.each([[[]], [['--batch', '4']]])(
    'go on without one that cannot be read, and fail in the end: %j',
    async (args) => {
      const out = temporaryFolder();
      const text = temporaryFile('text.png', 'a thousand words');
      const { status, stdout, stderr } = await fmgcam(explainArgs(DOG_CAT, text, COCO, ...args, '--out', out));
      expect(status).toBe(1);
      expect(stderr.filter((line) => line.startsWith(text))).toHaveLength(1);
      expect(stderr.at(-1)).toBe('fmgcam: 1 of 3 images could not be read; the others are explained');
      expect(stdout).toContain(`${DOG_CAT}: `);
      expect(stdout).toContain(`${COCO}: `);
      expect(readdirSync(out).filter((name) => name.includes('contact-sheet'))).toHaveLength(2);
    },
  );
});

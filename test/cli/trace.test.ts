import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { DOG_CAT, fmgcam, MODEL, ON_CPU, temporaryFolder } from '../support/command.ts';
import { describeShared } from '../support/shared.ts';

const explain = (...args: readonly string[]) => fmgcam(['explain', ...MODEL, ...ON_CPU, ...args]);

describeShared('explain --trace', () => {
  it('writes one page, and names it', async () => {
    const file = join(temporaryFolder(), 'out.html');
    const { status, stdout, stderr } = await explain(DOG_CAT, '--size', '64', '--trace', file);
    expect(status, stderr.join('\n')).toBe(0);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(`  ${file}`);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('<title>FM-G-CAM of dog-cat.jpg, step by step</title>');
    expect(text).toContain('93.6 %');
    expect(statSync(file).size).toBeLessThan(3e6);
  });

  it.each([
    ['several images', [DOG_CAT, DOG_CAT, '--trace', '/tmp/out.html'], /--trace takes one image at a time$/],
    ['a tensor', ['--input-tensor', 'x.safetensors', '--trace', '/tmp/out.html'], /cannot be used with/],
    ['a folder that is not there', [DOG_CAT, '--trace', '/nonexistent/out.html'], /nonexistent is not a folder$/],
  ])('refuses %s', async (_, args, message) => {
    const { status, stdout, stderr } = await explain(...args);
    expect(status).toBeGreaterThan(0);
    expect(stdout).toBe('');
    expect(stderr).toEqual([expect.stringMatching(message)]);
  });
});

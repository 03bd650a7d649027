import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { decodeImage } from '../src/image/decode.ts';
import { describeShared, shared } from './support/shared.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

describeShared('README', () => {
  it("the dozen lines run as they stand, with a smaller network's name and file", async () => {
    const [, code = ''] = /```js\n([\s\S]*?)```/.exec(await readFile(join(root, 'README.md'), 'utf8')) ?? [];
    expect(code).toContain("'resnet50'");
    const folder = await mkdtemp(join(tmpdir(), 'fmgcam-readme-'));
    try {
      await mkdir(join(folder, 'node_modules'));
      await symlink(root, join(folder, 'node_modules', 'fm-g-cam'));
      await writeFile(
        join(folder, 'example.mjs'),
        code.replace("'resnet50'", "'resnet20-cifar10'").replace('resnet50-0676ba61.pth', 'resnet20.th'),
      );
      await writeFile(join(folder, 'resnet20.th'), shared('models/resnet20-12fca82f.th'));
      await writeFile(join(folder, 'photo.jpg'), shared('images/dog-cat.jpg'));
      const { stdout } = await promisify(execFile)(process.execPath, ['example.mjs'], { cwd: folder, timeout: 60_000 });
      const lines = stdout.trim().split('\n');
      expect(lines).toHaveLength(5);
      for (const line of lines) expect(line).toMatch(/^[a-z]+ [0-9.e-]+$/);
      const fused = await decodeImage(await readFile(join(folder, 'fused.png')), 'fused.png');
      expect(fused.width).toBeGreaterThan(300);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

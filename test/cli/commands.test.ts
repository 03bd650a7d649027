import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { layersOf } from '../../src/nn/model.ts';
import { architecture, MODEL_NAMES } from '../../src/nn/models/registry.ts';
import { DOG_CAT, fmgcam, MODEL, missingWebGpu, NO_DRIVERS, sharedPath } from '../support/command.ts';
import { describeShared } from '../support/shared.ts';

const missing = await missingWebGpu();
const COMMANDS = ['explain', 'layers', 'doctor', 'diff'];

describe('fmgcam', () => {
  it('--version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await fmgcam(['--version'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: [] });
  });

  it.each([['--help'], ['help']])('%s names every command on stdout', async (help) => {
    const { status, stdout, stderr } = await fmgcam([help]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: [] });
    for (const command of COMMANDS) expect(stdout).toContain(`\n  ${command} `);
  });

  it('is content with a reader that closes the pipe', async () => {
    const run = await fmgcam(['layers', '--model', 'densenet201'], { closeStdout: true });
    expect(run).toMatchObject({ status: 0, signal: null, stderr: [] });
  });
});

describe('layers', () => {
  it.each(MODEL_NAMES)('of %s, with its default', async (model) => {
    const { status, stdout, stderr } = await fmgcam(['layers', '--model', model]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: [] });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.filter((line) => line.endsWith('(default)'))).toEqual([`${architecture(model).layer}  (default)`]);
    expect(lines).toHaveLength(layersOf(model).length);
  });

  it('as JSON', async () => {
    const { stdout } = await fmgcam(['layers', '--model', 'resnet50', '--json']);
    const { model, default: layer, layers } = JSON.parse(stdout);
    expect({ model, layer }).toEqual({ model: 'resnet50', layer: 'layer4' });
    expect(layers).toEqual(expect.arrayContaining(['conv1', 'layer4', 'layer4.2.conv3', 'fc']));
  });
});

describe('doctor', () => {
  it('says of both devices whether they are usable, and which one auto takes', async () => {
    const { status, stdout, stderr } = await fmgcam(['doctor']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: [] });
    expect(stdout).toMatch(/^Node v\d+/);
    expect(stdout).toContain('\ncpu: usable\n');
    expect(stdout).toMatch(missing === undefined ? /\nwebgpu: usable\n/ : /\nwebgpu: not usable: .+\n/);
    if (missing === undefined) expect(stdout).toMatch(/\n {2}tiles for 64 channels at 56 x 56: \S+ \(a .+\)\n/);
    expect(stdout).toMatch(/\n--device auto takes (cpu|webgpu \(.+\)): .+\n$/);
  });

  it('prints with --json nothing but JSON', async () => {
    const { status, stdout } = await fmgcam(['doctor', '--json']);
    expect(status).toBe(0);
    const { devices, auto } = JSON.parse(stdout);
    expect(devices).toMatchObject([{ device: 'cpu', usable: true }, { device: 'webgpu' }]);
    expect(auto.device).toMatch(/^(cpu|webgpu)/);
  });
});

describe.skipIf(process.platform !== 'linux')('without a Vulkan driver', () => {
  it('the doctor says why WebGPU is not usable', async () => {
    const { status, stdout } = await fmgcam(['doctor'], { env: NO_DRIVERS });
    expect(status).toBe(0);
    expect(stdout).toMatch(/\nwebgpu: not usable: .*(driver|package).*\n/);
    expect(stdout).toMatch(/\n--device auto takes cpu: no WebGPU adapter .+\n$/);
  });

  describeShared('explain', () => {
    it('fails when WebGPU is asked for', async () => {
      const run = await fmgcam(['explain', DOG_CAT, ...MODEL, '--device', 'webgpu'], { env: NO_DRIVERS });
      expect(run).toMatchObject({ status: 1, stdout: '' });
      expect(run.stderr).toEqual([expect.stringMatching(/^fmgcam: no WebGPU device: .+use the device cpu$/)]);
    });

    it('computes on the CPU when nothing is asked for', async () => {
      const run = await fmgcam(['explain', DOG_CAT, ...MODEL], { env: NO_DRIVERS });
      expect(run.status).toBe(0);
      expect(run.stderr[0]).toMatch(/^device: cpu: no WebGPU adapter .+/);
    });

    it('diff fails', async () => {
      const run = await fmgcam(['diff', DOG_CAT, ...MODEL], { env: NO_DRIVERS });
      expect(run).toMatchObject({ status: 1, stdout: '' });
      expect(run.stderr).toEqual([expect.stringMatching(/^fmgcam: no WebGPU device: .+$/)]);
    });
  });
});

describeShared('diff', () => {
  describe.skipIf(missing !== undefined)(missing ? `(skipped: no WebGPU adapter: ${missing})` : 'of a network', () => {
    // Every module that runs; the names of blocks and stages stand for their outputs.
    const layers = layersOf('resnet20-cifar10');

    it('has a row for each layer, with a small error', async () => {
      const { status, stdout } = await fmgcam(['diff', DOG_CAT, ...MODEL]);
      expect(status).toBe(0);
      const [heading, ...rows] = stdout.trimEnd().split('\n');
      expect(heading).toMatch(/^layer +relative L2 +largest difference +shape$/);
      expect(rows.map((row) => row.split(/\s+/)[0]).toSorted()).toEqual([...layers, 'output'].toSorted());
      for (const row of rows) expect(Number(row.split(/\s+/)[1]), row).toBeLessThan(1e-4);
    });

    it('takes a tensor, and prints with --json nothing but JSON', async () => {
      const input = sharedPath('golden/resnet20-coco78-48-layer2.2.conv2-top3.safetensors');
      const { status, stdout } = await fmgcam(['diff', ...MODEL, '--input-tensor', input, '--json']);
      expect(status).toBe(0);
      const report: { layers: { layer: string; shape: number[]; relativeL2: number }[] } = JSON.parse(stdout);
      expect(report.layers.find(({ layer }) => layer === 'layer3')?.shape).toEqual([1, 64, 12, 12]);
      for (const { layer, relativeL2 } of report.layers) expect(relativeL2, layer).toBeLessThan(1e-4);
    });
  });
});

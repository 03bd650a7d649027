import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { webgpu } from '../../bench/commands/webgpu.ts';
import { parseOptions } from '../../bench/options.ts';
import { measureTwoLayers } from '../support/bench.ts';

/* The benchmark of the GPU in a page of headless Chromium. */

const CHROMIUM = '/usr/bin/chromium';
const IN_CHROMIUM = ['--in', 'browser', '--browser', CHROMIUM];

const missing = existsSync(CHROMIUM) ? undefined : `no ${CHROMIUM}`;
if (missing && process.env.CI) throw new Error(`CI must have a browser: ${missing}`);

describe.skipIf(missing !== undefined)(missing ? `the benchmark (skipped: ${missing})` : 'the benchmark', () => {
  it('measures in a page, goes on from its file, and names the browser', async () => {
    const { host } = await measureTwoLayers(IN_CHROMIUM);
    expect(host.runtime).toMatch(/^Chromium \d+\.[\d.]+$/);
  }, 300_000);

  it('ends with what is wrong in the page', async () => {
    const options = parseOptions(['webgpu', ...IN_CHROMIUM, '--model', 'resnet18', '--only', '5x5']);
    await expect(webgpu(options)).rejects.toThrow(
      '--only "5x5" is in the name of no layer of resnet18, like "7x7 3→64',
    );
  });
});

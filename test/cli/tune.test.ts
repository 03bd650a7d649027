import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { tunableCalls } from '../../src/kernels/tuning/calls.ts';
import { emptyTable, productKey, type TuningTable } from '../../src/kernels/tuning/table.ts';
import { readTable, userTableFile } from '../../src/kernels/tuning/user-table.ts';
import { findAdapter, openAdapter } from '../../src/kernels/webgpu/adapter.ts';
import { libraryVersion } from '../../src/library-version.ts';
import { forwardCalls } from '../../src/nn/forward-calls.ts';
import { fmgcam, missingWebGpu, NO_DRIVERS } from '../support/command.ts';

const missing = await missingWebGpu();

describe('tune', () => {
  it('says why there is nothing to tune', async () => {
    const { status, stderr } = await fmgcam(['tune'], { env: NO_DRIVERS });
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: [expect.stringMatching(/^fmgcam: there is nothing to tune: .*install a Vulkan/)],
    });
  });
});

describe.skipIf(missing)('the user’s table', () => {
  const cache = mkdtempSync(join(tmpdir(), 'fmgcam-tune-'));
  let file: string;
  let complete: TuningTable;

  beforeAll(async () => {
    vi.stubEnv('XDG_CACHE_HOME', cache);
    const search = await findAdapter();
    if (!search.found) throw new Error(search.reason);
    const device = await openAdapter(search, { tuning: null });
    const { adapterInfo, target } = device;
    device.destroy();
    file = userTableFile(adapterInfo);
    mkdirSync(dirname(file), { recursive: true });
    const calls = tunableCalls(forwardCalls('resnet20-cifar10', [1, 3, 32, 32]), target);
    const trials = calls.flatMap(({ products }) =>
      products.map((product) => [productKey(product), { times: { register: 2 }, rejected: {} }]),
    );
    complete = { ...emptyTable(adapterInfo, libraryVersion()), trials: Object.fromEntries(trials) };
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(cache, { recursive: true });
  });

  it('is gone on with: what is known is not measured again', async () => {
    writeFileSync(file, JSON.stringify(complete));
    const { status, stdout } = await fmgcam(['tune', '--model', 'resnet20-cifar10']);
    const count = Object.keys(complete.trials).length;
    expect(status).toBe(0);
    expect(stdout).toBe(
      `each of the ${count} products once: ${(2 * count).toFixed(1)} ms as tuned; register ${(2 * count).toFixed(1)} ms\nkept in ${file}\n`,
    );
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(complete);
  });

  it('is named and left aside when it is damaged', async () => {
    writeFileSync(file, '{"format": "fm-g-cam tun');
    const { status, stdout } = await fmgcam(['doctor']);
    expect(status).toBe(0);
    expect(stdout).toContain(`\n  tuning: ignored: ${file}: is no tuning table: `);
    expect(stdout).toMatch(/; delete it, and run "fmgcam tune" again\n {2}algorithm for .* \(a /);
  });

  it('is of one adapter and one version', async () => {
    writeFileSync(file, JSON.stringify({ ...complete, library: '0.0.0' }));
    await expect(readTable(file, complete.adapter)).rejects.toThrow(
      `${file}: was measured by version 0.0.0; delete it`,
    );
    const other = { ...complete.adapter, description: 'another driver' };
    await expect(readTable(file, other)).rejects.toThrow(
      `was measured on "${complete.adapter.description}"; delete it`,
    );
  });
});

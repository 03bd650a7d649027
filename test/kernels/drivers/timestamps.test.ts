import { afterAll, expect, it } from 'vitest';
import { create } from 'webgpu';
import { PassTimer } from '../../../bench/webgpu/timer.ts';
import { settleWithNaps } from '../../../src/kernels/webgpu/settle.ts';
import { missing } from '../../support/devices.ts';

/* The clock of the benchmark, exact and as Chromium rounds it. */

/** Dawn crashes if one is collected while its devices live. */
const sources: GPU[] = [];
afterAll(() => {
  sources.length = 0;
});

it.skipIf(missing).for([
  ['disable', 1, 1000],
  ['enable', 2 ** 16, 2 ** 18],
  // A clock that disagrees with the host's is not used, which a busy host can bring about.
] as const)('has its steps: %s rounding', { retry: 5 }, async ([what, least, most], { skip }) => {
  const source = create([`${what}-dawn-features=timestamp_quantization`]);
  sources.push(source);
  const adapter = await source.requestAdapter();
  if (!adapter?.features.has('timestamp-query')) return skip('the adapter has no timestamps');
  const gpu = await adapter.requestDevice({ requiredFeatures: ['timestamp-query'] });
  try {
    const timer = await PassTimer.open(gpu, settleWithNaps);
    expect(timer?.step).toBeGreaterThanOrEqual(least);
    expect(timer?.step).toBeLessThanOrEqual(most);
    const encoder = gpu.createCommandEncoder();
    for (let pass = 0; pass < 2; pass++) encoder.beginComputePass().end();
    gpu.queue.submit([encoder.finish()]);
    const time = await timer?.take();
    expect(time?.passes).toBe(2);
    expect(time?.milliseconds).toBeGreaterThanOrEqual(0);
    expect(await timer?.take()).toEqual({ milliseconds: 0, passes: 0 });
  } finally {
    gpu.destroy();
    await gpu.lost;
  }
});

import { describe, expect, it, vi } from 'vitest';
import { measureTwoLayers } from '../support/bench.ts';
import { LAVAPIPE, missing } from './installed.ts';

/* The benchmark of the GPU in Deno. */

describe.skipIf(missing !== undefined)(missing ? `the benchmark (skipped: ${missing})` : 'the benchmark', () => {
  it('measures in Deno, goes on from its file, and names Deno', async () => {
    vi.stubEnv('VK_ICD_FILENAMES', LAVAPIPE);
    const { host, adapter } = await measureTwoLayers(['--in', 'deno']);
    expect(host.runtime).toMatch(/^Deno \d+\.\d+\.\d+/);
    expect(adapter.description).toContain('llvmpipe');
    expect(adapter.software).toBe(true);
  });
});

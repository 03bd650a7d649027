import { afterAll, beforeAll, describe } from 'vitest';
import { openDevice } from '../../src/kernels/create-device.ts';
import type { Device } from '../../src/kernels/device.ts';
import { findAdapter } from '../../src/kernels/webgpu/adapter.ts';

/**
 * The device that this run of the suite is for: the projects of vitest.config.ts run the same files once on the CPU
 * device and once on each WebGPU driver.
 */
const kind = process.env.FMGCAM_TEST_DEVICE === 'webgpu' ? 'webgpu' : 'cpu';

const search = kind === 'webgpu' ? await findAdapter() : undefined;
if (search?.found) search.release();
/** Why there is no WebGPU adapter, where this run wants one. */
export const missing = search && !search.found ? search.reason : undefined;
if (missing && process.env.CI) throw new Error(`CI must have a WebGPU adapter: ${missing}`);

/**
 * Values within 1e-5 (relative L2) of PyTorch's in the CPU device's precision `exact`; 1e-4 in `fast`, and on WebGPU, whose
 * drivers may reassociate.
 */
export const TOLERANCE = kind === 'cpu' && process.env.FMGCAM_PRECISION === 'exact' ? 1e-5 : 1e-4;

/** A suite on the device of this run; skipped, and saying so, where a user's machine has no WebGPU adapter. */
export function describeDevice(name: string, suite: (device: () => Device) => void): void {
  const title = missing ? `${name} (skipped: no WebGPU adapter: ${missing})` : `${name} on ${kind}`;
  describe.skipIf(missing !== undefined)(title, () => {
    let device: Device | undefined;
    beforeAll(async () => {
      device = (await openDevice(kind)).device;
    });
    afterAll(() => device?.destroy());
    suite(() => {
      if (!device) throw new Error('the device is opened before the tests of its suite run');
      return device;
    });
  });
}

import { afterAll, beforeAll, expect } from 'vitest';
import { CpuDevice } from '../../src/kernels/cpu/device.ts';
import { createDevice, type Device, type DeviceOptions } from '../../src/kernels/index.ts';

export interface DevicePair {
  readonly device: Device;
  readonly oracle: Device;
}

/** A device of the driver beside the TypeScript kernels, for the tests of a suite, which may leave nothing on it. */
export function openPair(options: DeviceOptions = {}): DevicePair {
  let device: Device | undefined;
  const oracle = new CpuDevice({ kernels: 'typescript' });
  beforeAll(async () => {
    device = await createDevice('webgpu', options);
  });
  afterAll(() => {
    expect(device?.memory().blocks, 'blocks left on the device').toBe(0);
    device?.destroy();
    oracle.destroy();
  });
  return {
    get device() {
      if (!device) throw new Error('the device is opened before the tests of its suite run');
      return device;
    },
    oracle,
  };
}

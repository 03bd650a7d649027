import { afterAll, describe, expect, it } from 'vitest';
import { DeviceError } from '../../../src/errors.ts';
import { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import { conv2d, type Device, tensor } from '../../../src/kernels/index.ts';
import { recordCalls, tunableCalls } from '../../../src/kernels/tuning/calls.ts';
import { fastest } from '../../../src/kernels/tuning/table.ts';
import { tryTilings } from '../../../src/kernels/tuning/tune.ts';
import type { Tiling } from '../../../src/kernels/webgpu/tiles.ts';
import { forwardCalls } from '../../../src/nn/forward-calls.ts';

const target = { software: true, subgroups: undefined, workgroupThreads: 256, workgroupBytes: 16384 };

describe('the calls of a forward pass', () => {
  const calls = forwardCalls('resnet18', [2, 3, 64, 64]);

  it('are those of the network', () => {
    const convolutions = calls.filter(({ op, inputs }) => op === 'conv2d' && inputs.length > 0);
    expect(convolutions).toHaveLength(20);
    expect(convolutions[0]?.inputs.map(({ shape, constant }) => ({ shape, constant }))).toEqual([
      { shape: [2, 3, 64, 64], constant: false },
      { shape: [64, 3, 7, 7], constant: true },
      { shape: [64], constant: true },
    ]);
  });

  it('are tried once for each product', () => {
    const tunable = tunableCalls(calls, target);
    expect(tunable).toHaveLength(11);
    // Patches of 7 x 7 pixels with 3 channels, filled up to a multiple of four.
    expect(tunable[0]?.products).toEqual([{ groups: 1, channels: 64, pixels: 2 * 32 ** 2, depth: 148 }]);
  });
});

/** Computes what it should, but for one value. */
class Inaccurate extends CpuDevice {
  override run(...[kernel, inputs, outputs, attributes]: Parameters<Device['run']>): void {
    super.run(kernel, inputs, outputs, attributes);
    const { storage } = outputs[0] ?? {};
    if (storage && outputs[0]?.shape.length === 4) this.write(storage.block, Float32Array.of(1e3));
  }
}

class Failing extends CpuDevice {
  override run(): void {
    throw new DeviceError('no such\ninstruction');
  }
}

describe('trying tilings', () => {
  const options = { kernels: 'typescript' } as const;
  const devices = new Map<Tiling, CpuDevice>([
    ['register', new CpuDevice(options)],
    ['subgroup', new Inaccurate(options)],
    ['workgroup-32x32', new Failing(options)],
  ]);
  afterAll(() => {
    for (const device of devices.values()) device.destroy();
  });

  it('times what is correct, and says what is not', async () => {
    const [call] = recordCalls((device) => {
      const x = tensor(device, new Float32Array(2 * 64), [1, 2, 8, 8]);
      const weight = tensor(device, new Float32Array(3 * 2 * 9), [3, 2, 3, 3], { constant: true });
      conv2d(x, weight, { padding: 1 }).dispose();
      x.dispose();
      weight.dispose();
    }).filter(({ op }) => op === 'conv2d');
    if (!call) throw new Error('the convolution was not recorded');
    const trial = await tryTilings(call, devices);
    expect(Object.keys(trial.times)).toEqual(['register']);
    expect(fastest(trial)?.tiling).toBe('register');
    expect(trial.rejected).toEqual({
      subgroup: expect.stringMatching(/^differs from the TypeScript kernels by .*\(relative L2\)$/),
      'workgroup-32x32': 'no such instruction',
    });
    for (const device of devices.values()) expect(device.memory().blocks).toBe(0);
  });
});

import { afterEach, describe, expect, it, vi } from 'vitest';
import { explainTensor } from '../../../src/cam/explain.ts';
import { DeviceError } from '../../../src/errors.ts';
import { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import { concat, conv2d, tensor } from '../../../src/kernels/index.ts';
import { withScope } from '../../../src/tensor/scope.ts';
import { randomArray, randomModel } from '../../support/random-model.ts';

const devices: CpuDevice[] = [];
const open = () => {
  const device = new CpuDevice({ kernels: 'wasm' });
  devices.push(device);
  return device;
};
afterEach(() => {
  for (const device of devices.splice(0)) device.destroy();
});

describe('the memory of the CPU device', () => {
  it('takes little more than the weights and the largest activations of ResNet-50', async () => {
    const device = open();
    const model = randomModel('resnet50');
    const shape = [1, 3, 224, 224];
    using input = tensor(device, randomArray(1, shape), shape);
    for (let run = 0; run < 2; run++) (await explainTensor(model, input, { topK: 5 })).dispose();
    const weights = [...model.module.parameters()].reduce((sum, [, { values }]) => sum + values.byteLength, 0);
    // The input of a block of layer1, its shortcut, and the result of the two: 256 channels at 56 x 56.
    const activations = 3 * 4 * 256 * 56 * 56;
    const { live, pooled } = device.memory();
    // Memory never shrinks: this is its peak.
    expect((live + pooled) / (weights + activations)).toBeLessThan(1.3);
  });

  it('does not grow in 1,000 explanations', async () => {
    const device = open();
    const model = randomModel();
    const shape = [1, 3, 16, 16];
    using input = tensor(device, randomArray(1, shape), shape);
    const explain = async () => (await explainTensor(model, input, { topK: 3 })).dispose();
    for (let i = 0; i < 3; i++) await explain();
    const before = device.memory();
    for (let i = 0; i < 1000; i++) await explain();
    expect(device.memory()).toEqual(before);
  });

  it('is used beyond 2 GiB, where addresses are negative to WebAssembly', async () => {
    const device = open();
    const compute = () =>
      withScope(async (scope) => {
        const x = tensor(device, randomArray(1, [1, 8, 9, 9]), [1, 8, 9, 9], { scope });
        const weight = tensor(device, randomArray(2, [16, 8, 3, 3]), [16, 8, 3, 3], { scope });
        const y = conv2d(x, weight, { padding: 1, residual: conv2d(x, weight, { padding: 1 }), activation: 'relu' });
        return concat([y, y], 1).data();
      });
    const expected = await compute();
    // Reserved only: the host gives pages to what is touched.
    const low = device.allocate(2 ** 31 + 2 ** 20);
    expect(await compute()).toEqual(expected);
    device.release(low);
  });

  it('that is not enough is an error which leaves the device as it was', () => {
    const device = open();
    const shape = [1, 1, 1024, 1024];
    using x = tensor(device, randomArray(1, shape), shape);
    // 4096 channels of 1024 x 1024 are 16 GiB.
    using weight = tensor(device, randomArray(2, [4096, 1, 1, 1]), [4096, 1, 1, 1]);
    const before = device.memory();
    expect(() => conv2d(x, weight)).toThrow(DeviceError);
    expect(() => conv2d(x, weight)).toThrow(/out of memory: 17179869184 bytes .* use a smaller image or batch$/);
    expect(device.memory()).toEqual(before);
  });

  it('is an error where the host has less than it promised', () => {
    const grow = vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(() => {
      throw new RangeError('Maximum memory size exceeded');
    });
    expect(() => tensor(open(), new Float32Array(1 << 22), [1 << 22])).toThrow('the CPU device is out of memory');
    grow.mockRestore();
  });
});

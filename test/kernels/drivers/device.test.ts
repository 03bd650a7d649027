import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { explainTensor } from '../../../src/cam/explain.ts';
import { DeviceError } from '../../../src/errors.ts';
import { createDevice } from '../../../src/kernels/create-device.ts';
import type { Device, Kernel } from '../../../src/kernels/device.ts';
import { conv2d, relu, tensor, type WarmupProgress, warmup } from '../../../src/kernels/index.ts';
import { WebGpuDevice } from '../../../src/kernels/webgpu/device.ts';
import { withScope } from '../../../src/tensor/scope.ts';
import { missing } from '../../support/devices.ts';
import { randomArray, randomModel } from '../../support/random-model.ts';

/* What is true of a WebGPU device, on whichever driver. */

const SHAPE = [1, 3, 32, 32] as const;
const pixels = randomArray(3, SHAPE);
const model = randomModel('resnet20-cifar10');

function logits(device: Device): Promise<ArrayLike<number>> {
  return withScope((scope) => model.forward(tensor(device, pixels, SHAPE, { scope })).data());
}

async function openWebGpu(): Promise<WebGpuDevice> {
  const device = await createDevice('webgpu');
  if (!(device instanceof WebGpuDevice)) throw new Error('it is no WebGPU device');
  return device;
}

/** One number to the next, by a shader that compiles or not. */
const increment = (key: string, value: string): Kernel<undefined> => ({
  host: () => {},
  webgpu: () => [
    {
      key,
      code: () => `@compute @workgroup_size(1) fn main() { y[0] = ${value}; }`,
      bindings: [
        { name: 'x', type: 'f32', operand: { input: 0 } },
        { name: 'y', type: 'f32', operand: { output: 0 } },
      ],
      uniforms: [],
      workgroups: [1, 1, 1],
    },
  ],
});

describe.skipIf(missing)('a WebGPU device that fails', () => {
  let device: WebGpuDevice;
  beforeEach(async () => {
    device = await openWebGpu();
    return () => device.destroy();
  });

  async function run(kernel: Kernel<undefined>) {
    using x = tensor(device, [41], [1]);
    using y = tensor(device, [0], [1]);
    device.run(kernel, [x], [y], undefined);
    return await y.data();
  }

  it('runs what compiles', async () => {
    expect(await run(increment('increment', 'x[0] + 1.0'))).toEqual(Float32Array.of(42));
  });

  it('names the kernel that does not compile, at the next reading and at all others', async () => {
    const expected = /^webgpu \(.*increment\/broken.*; create a new device$/;
    await expect(run(increment('increment/broken', 'x[0] + nonsense'))).rejects.toThrow(DeviceError);
    await expect(run(increment('increment', 'x[0] + 1.0'))).rejects.toThrow(expected);
  });

  it('names it when kernels are compiled ahead as well', async () => {
    const warming = warmup(device, (dry) => {
      using x = tensor(dry, [41], [1]);
      using y = tensor(dry, [0], [1]);
      dry.run(increment('increment/broken', 'x[0] + nonsense'), [x], [y], undefined);
    });
    await expect(warming).rejects.toThrow(/^webgpu \(.*increment\/broken/);
  });

  it('says what to do when memory runs out', async () => {
    // A driver that gives memory when it is touched has not run out of any.
    const commits = /SwiftShader/.test(device.name);
    const { maxStorageBufferBindingSize } = device.gpu.limits;
    for (let bytes = 0; bytes < 64 * 2 ** 30; bytes += maxStorageBufferBindingSize) {
      device.allocate(maxStorageBufferBindingSize);
    }
    const result = run(increment('increment', 'x[0] + 1.0'));
    if (commits) await expect(result).rejects.toThrow(/bytes.*; create a new device and use a smaller image or batch/);
    else expect(await result).toEqual(Float32Array.of(42));
  });

  it('leaves the model as it is: a new device gives the same', async () => {
    const before = await logits(device);
    device.gpu.destroy();
    await expect(logits(device)).rejects.toThrow('create a new device');
    const next = await openWebGpu();
    try {
      expect(await logits(next)).toEqual(before);
    } finally {
      model.release(next);
      next.destroy();
    }
  });
});

describe.skipIf(missing)('a WebGPU device at work', () => {
  let device: WebGpuDevice;
  beforeAll(async () => {
    device = await openWebGpu();
  });
  afterAll(() => device.destroy());

  it('compiles ahead what some work needs, says how far it is, and compiles nothing twice', async () => {
    const [ahead, atOnce] = [
      vi.spyOn(device.gpu, 'createComputePipelineAsync'),
      vi.spyOn(device.gpu, 'createComputePipeline'),
    ];
    const progress: WarmupProgress[] = [];
    const work = async (device: Device) => {
      using x = tensor(device, pixels, SHAPE);
      using explanation = await explainTensor(model, x, { topK: 3 });
      await explanation.tensors.raw.data();
    };
    await warmup(device, work, (step) => progress.push(step));
    const kernels = progress.map(({ kernel }) => kernel);
    expect(kernels.length).toBeGreaterThan(5);
    expect(new Set(kernels).size).toBe(kernels.length);
    expect(progress.map(({ done }) => done)).toEqual(kernels.map((_, i) => i + 1));
    expect(progress.at(-1)?.total).toBe(kernels.length);
    expect(ahead).toHaveBeenCalledTimes(kernels.length);

    await work(device);
    await warmup(device, work, (step) => progress.push(step));
    expect(progress).toHaveLength(kernels.length);
    expect(ahead).toHaveBeenCalledTimes(kernels.length);
    expect(atOnce).not.toHaveBeenCalled();
    model.release(device);
    expect(device.memory().blocks).toBe(0);
  });

  it('makes no bind group twice for work of the same shape', async () => {
    await logits(device);
    await logits(device);
    const made = vi.spyOn(device.gpu, 'createBindGroup');
    const submitted = vi.spyOn(device.gpu.queue, 'submit');
    await logits(device);
    expect(made).not.toHaveBeenCalled();
    expect(submitted).toHaveBeenCalledTimes(1);
    model.release(device);
  });

  it('keeps the uniforms of many kernels apart', async () => {
    using weight = tensor(device, [1], [1, 1, 1, 1]);
    let x = tensor(device, [3, -1, 2, 5], [1, 1, 2, 2]);
    for (let i = 0; i < 1500; i++) {
      const next = i % 2 ? relu(x) : conv2d(x, weight);
      x.dispose();
      x = next;
    }
    expect(await x.data()).toEqual(Float32Array.of(3, 0, 2, 5));
    x.dispose();
  });
});

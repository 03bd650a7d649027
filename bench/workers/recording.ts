import type { Device, Tensor } from '../../src/index.ts';

/**
 * What the host does for a computation on WebGPU: how many dispatches it records, and in how many milliseconds it has handed
 * them to the driver.
 * @param compute from tensors on the device to one that nobody has waited for
 */
export async function recording(device: Device, compute: () => Tensor): Promise<[dispatches: number, time: number]> {
  const dispatches = await countDispatches(device, () => finish(compute()));
  const start = performance.now();
  const result = compute();
  device.flush();
  const time = performance.now() - start;
  await finish(result);
  return [dispatches, time];
}

async function finish(result: Tensor): Promise<void> {
  await result.data();
  result.dispose();
}

async function countDispatches(device: Device, run: () => Promise<void>): Promise<number> {
  if (!('gpu' in device)) throw new Error(`${device.name} has no dispatches`);
  const gpu = device.gpu as GPUDevice;
  const createEncoder = gpu.createCommandEncoder;
  let count = 0;
  gpu.createCommandEncoder = (descriptor) => {
    const encoder = createEncoder.call(gpu, descriptor);
    const beginPass = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (options) => {
      const pass = beginPass(options);
      const dispatch = pass.dispatchWorkgroups.bind(pass);
      pass.dispatchWorkgroups = (...workgroups) => {
        count += 1;
        dispatch(...workgroups);
      };
      return pass;
    };
    return encoder;
  };
  try {
    await run();
  } finally {
    gpu.createCommandEncoder = createEncoder;
  }
  return count;
}

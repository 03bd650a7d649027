import type { Device, Tensor } from '../../src/index.ts';

/* What the host does for a computation on WebGPU. */

/**
 * Milliseconds until all dispatches of a computation have been recorded and handed to the driver.
 * @param compute from tensors on the device to one that nobody has waited for
 */
export async function recordingTime(device: Device, compute: () => Tensor): Promise<number> {
  const start = performance.now();
  const result = compute();
  device.flush();
  const time = performance.now() - start;
  await result.data();
  return time;
}

export async function countDispatches(device: Device, run: () => Promise<unknown>): Promise<number> {
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

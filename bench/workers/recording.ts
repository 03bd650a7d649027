import type { Device, Tensor } from '../../src/index.ts';

/* What the host does for a computation on WebGPU. */

/** Passes in a row. A driver that computes on the CPU empties the host's caches between one and the next that is waited for. */
const PASSES = 4;

/**
 * Milliseconds for each pass until all dispatches of several have been recorded and handed to the driver.
 * @param compute from tensors on the device to one that nobody has waited for
 */
export async function recordingTime(device: Device, compute: () => Tensor): Promise<number> {
  const start = performance.now();
  const results = Array.from({ length: PASSES }, compute);
  device.flush();
  const time = (performance.now() - start) / PASSES;
  await Promise.all(results.map((result) => result.data()));
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

import type { Device, Tensor } from '../../src/index.ts';

/* What the host does for a computation on WebGPU. */

/** Passes whose commands are dropped: a driver that computes on the CPU has emptied the host's caches before. */
const DROPPED = 12;

/**
 * Milliseconds until all dispatches of a computation have been recorded and handed to the driver, when the code and the data that this
 * takes are in the caches of the processor.
 * @param compute from tensors on the device to one that nobody has waited for
 */
export async function recordingTime(device: Device, compute: () => Tensor): Promise<number> {
  const { queue } = gpuOf(device);
  const { submit } = queue;
  queue.submit = () => undefined;
  try {
    for (let pass = 0; pass < DROPPED; pass++) {
      compute().dispose();
      device.flush();
    }
  } finally {
    queue.submit = submit;
  }
  const start = performance.now();
  const result = compute();
  device.flush();
  const time = performance.now() - start;
  await result.data();
  return time;
}

function gpuOf(device: Device): GPUDevice {
  if (!('gpu' in device)) throw new Error(`${device.name} has no dispatches`);
  return device.gpu as GPUDevice;
}

export async function countDispatches(device: Device, run: () => Promise<unknown>): Promise<number> {
  const gpu = gpuOf(device);
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

import type { DeviceFacts } from '../../src/kernels/webgpu/facts.ts';

/* What kernels are chosen by, of adapters that need not be there. */

export const gpu: DeviceFacts = {
  software: false,
  subgroups: { min: 32, max: 32 },
  workgroupThreads: 256,
  workgroupBytes: 16384,
};
export const lavapipe: DeviceFacts = { ...gpu, software: true, subgroups: { min: 8, max: 8 } };

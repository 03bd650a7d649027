export { argmax } from './argmax/index.ts';
export { concat, pad } from './assemble/index.ts';
export {
  type BatchNormOptions,
  type BatchNormTrainingOptions,
  batchNorm,
  batchNormTraining,
  type TrainedBatchNorm,
} from './batch-norm/index.ts';
export { type Conv2dOptions, conv2d } from './conv2d/index.ts';
export { channelsLast, contiguous } from './copy/index.ts';
export type { CpuDeviceOptions, Precision } from './cpu/device.ts';
export { full, scalar, tensor, type UploadOptions } from './create.ts';
export {
  createDevice,
  DEVICE_CHOICES,
  type DeviceChoice,
  type DeviceOptions,
  type OpenedDevice,
  openDevice,
} from './create-device.ts';
export { type Device, deviceOf } from './device.ts';
export { linear, matmul } from './matmul/index.ts';
export {
  abs,
  add,
  div,
  elu,
  equal,
  exp,
  gelu,
  log,
  mul,
  multiplyAdd,
  multiplyAddRelu,
  neg,
  relu,
  rsqrt,
  sigmoid,
  sqrt,
  squaredDifference,
  sub,
  timesDifference,
  where,
} from './pointwise/index.ts';
export {
  type AvgPool2dOptions,
  adaptiveAvgPool2d,
  avgPool2d,
  globalAvgPool2d,
  type MaxPool2dOptions,
  maxPool2d,
} from './pool/index.ts';
export { max, mean, sum } from './reduce/index.ts';
export { type ResizeMode, type ResizeOptions, resize } from './resize/index.ts';
export { logSoftmax, softmax } from './softmax/index.ts';
export { topk } from './topk/index.ts';
export { expand, reshape, select, slice, transpose } from './view/index.ts';
export type { WarmupProgress } from './webgpu/device.ts';
export { warmup } from './webgpu/warmup.ts';

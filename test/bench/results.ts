import { FORMAT, type LayerResult, type Results, VERSION } from '../../bench/webgpu/results.ts';

/* Results as somebody might have measured them. */

export const layer: LayerResult = {
  name: '3x3 64→64, 56x56 to 3136 pixels',
  networks: { resnet18: 4, resnet50: 3 },
  operations: 200e6,
  bytes: 2e6,
  chosen: 'register',
  reason: 'asked for',
  variants: [
    { name: 'register', error: 1e-7, rejected: null, wall: [12, 11, 13], gpu: [10.5, 10, 12] },
    { name: 'subgroup', error: 1e-7, rejected: null, wall: [6], gpu: [5] },
    { name: 'workgroup-32x32', error: 0.5, rejected: 'its error is too large', wall: [], gpu: [] },
  ],
};
export const results: Results = {
  format: FORMAT,
  version: VERSION,
  date: '2026-01-02',
  library: '1.2.3',
  host: { runtime: 'Node 20.0.0', system: 'Linux', processor: 'a processor', cores: 2 },
  adapter: {
    vendor: 'maker',
    architecture: 'first',
    device: 'card',
    description: '<card> & driver 1.0',
    driver: '',
    backend: '',
    software: false,
    features: ['subgroups'],
    limits: {
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupStorageSize: 16384,
      maxStorageBufferBindingSize: 2 ** 27,
      maxBufferSize: 2 ** 28,
    },
    timestampStep: 100,
  },
  ceilings: {
    gflops: 100,
    gigabytesPerSecond: 10,
    dispatchMicroseconds: 5,
    recordMicroseconds: 1,
    readbackMicroseconds: 50,
  },
  layers: [layer],
};

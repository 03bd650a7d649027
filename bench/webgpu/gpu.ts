import { DeviceError } from '../../src/errors.ts';
import { ALGORITHMS } from '../../src/kernels/conv2d/geometry.ts';
import { measuredOn, type TuningTable } from '../../src/kernels/tuning/table.ts';
import { WebGpuDevice } from '../../src/kernels/webgpu/device.ts';
import { deviceFacts, isSoftware } from '../../src/kernels/webgpu/facts.ts';
import type { Settle } from '../../src/kernels/webgpu/settle.ts';
import { obstacle, type ShaderTarget, TILINGS } from '../../src/kernels/webgpu/tiles.ts';
import type { Adapter } from './results.ts';
import { PassTimer } from './timer.ts';

/** Weights in half precision, plain sums. */
const HALVES = 'f16';

/** One GPU device, and a device of this library on it for each variant of the kernels. */
export interface Subject {
  readonly gpu: GPUDevice;
  readonly about: Adapter;
  readonly settle: Settle;
  /** As the library would have it, for what it would choose. */
  readonly target: ShaderTarget;
  /** Undefined where there are no timestamps, or none to rely on. */
  readonly timer: PassTimer | undefined;
  /** By tiling, with plain sums; by other algorithm or storage, with the tiling that is chosen. */
  readonly devices: ReadonlyMap<string, WebGpuDevice>;
}

/**
 * @param source `navigator.gpu`, or what the package `webgpu` creates
 * @param findTable the user's tuning
 */
export async function openSubject(
  source: GPU,
  settle: Settle,
  findTable: (info: GPUAdapterInfo) => Promise<TuningTable | undefined>,
): Promise<Subject> {
  const adapter = await source.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new DeviceError('there is no WebGPU adapter: install a Vulkan, Metal or Direct3D 12 driver');
  const { info, features } = adapter;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const gpu = await adapter.requestDevice({
    requiredFeatures: (['subgroups', 'shader-f16', 'timestamp-query'] as const).filter((feature) =>
      features.has(feature),
    ),
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  const target = { ...deviceFacts(gpu, info), ...measuredOn(info, await findTable(info)) };
  const device = (variant: Partial<ShaderTarget>) =>
    new WebGpuDevice(gpu, info, { target: { ...target, ...variant }, settle, onDestroy: () => {} });
  const tilings = TILINGS.filter((name) => !obstacle(name, target));
  const timer = await PassTimer.open(gpu, settle);
  return {
    gpu,
    settle,
    target,
    timer,
    about: describe(adapter, timer),
    devices: new Map([
      ...tilings.map((tiling) => [tiling, device({ tiling, algorithm: 'direct' })] as const),
      ...ALGORITHMS.filter((name) => name !== 'direct').map((name) => [name, device({ algorithm: name })] as const),
      ...(features.has('shader-f16') ? [[HALVES, device({ algorithm: 'direct', storage: 'f16' })] as const] : []),
    ]),
  };
}

function describe(adapter: GPUAdapter, timer: PassTimer | undefined): Adapter {
  const { info } = adapter;
  // Chromium tells more to developers.
  const more = (name: string) => String(Reflect.get(info, name) ?? '');
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    driver: more('driver'),
    backend: more('backend'),
    software: isSoftware(adapter),
    features: [...adapter.features].sort(),
    limits: limitsOf(adapter.limits),
    timestampStep: timer?.step ?? null,
  };
}

/** They are getters of a prototype. */
function limitsOf(limits: GPUSupportedLimits): Record<string, number> {
  const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(limits)));
  const entries = names.map((name) => [name, Reflect.get(limits, name)] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
}

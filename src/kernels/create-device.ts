import { DeviceError, UsageError } from '../errors.ts';
import { CpuDevice, type CpuDeviceOptions } from './cpu/device.ts';
import type { Device } from './device.ts';
import { findAdapter, openAdapter, outrunsTypeScript, type WebGpuDeviceOptions } from './webgpu/adapter.ts';
import { isSoftware } from './webgpu/facts.ts';

export const DEVICE_CHOICES = ['auto', 'webgpu', 'cpu'] as const;
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

export interface DeviceOptions extends CpuDeviceOptions, WebGpuDeviceOptions {}

/** A device that was opened, and why it was this one. */
export interface OpenedDevice {
  readonly device: Device;
  readonly reason: string;
}

/**
 * Opens a device. `auto` takes a hardware GPU if there is one, otherwise the faster of the CPU device and a software GPU.
 * @param options for the kind of device that it is in the end
 * @throws UsageError for options out of range, DeviceError when `webgpu` is asked for and there is no adapter
 */
export async function openDevice(choice: DeviceChoice = 'auto', options: DeviceOptions = {}): Promise<OpenedDevice> {
  if (!DEVICE_CHOICES.includes(choice))
    throw new UsageError(`device "${choice}" is unknown; use ${DEVICE_CHOICES.join(', ')}`);
  if (choice === 'cpu') return { device: startCpu(options), reason: 'asked for' };
  const search = await findAdapter();
  if (choice === 'webgpu') {
    if (!search.found) throw new DeviceError(`no WebGPU device: ${search.reason}; or use the device cpu`);
    return { device: await openAdapter(search, options), reason: 'asked for' };
  }
  if (!search.found) return { device: startCpu(options), reason: `no WebGPU adapter (${search.reason})` };
  const { adapter, release } = search;
  const { description } = adapter.info;
  if (!isSoftware(adapter)) return { device: await openAdapter(search, options), reason: 'a hardware GPU' };
  const cpu = new CpuDevice(options);
  if (cpu.kernels === 'typescript' && outrunsTypeScript(adapter)) {
    cpu.destroy();
    const reason = 'no hardware GPU, and this software driver outruns the TypeScript kernels of the CPU device';
    return { device: await openAdapter(search, options), reason };
  }
  release();
  cpu.start();
  return { device: cpu, reason: `no hardware GPU, and the CPU device outruns ${description}` };
}

/** Threads take a moment to start, in which a caller can read weights. */
function startCpu(options: CpuDeviceOptions): CpuDevice {
  const device = new CpuDevice(options);
  device.start();
  return device;
}

/** `openDevice` for those who do not ask for the reason. */
export async function createDevice(choice: DeviceChoice = 'auto', options: DeviceOptions = {}): Promise<Device> {
  return (await openDevice(choice, options)).device;
}

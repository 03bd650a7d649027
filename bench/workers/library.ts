import { readFileSync } from 'node:fs';
import type { Device } from '../../src/index.ts';
import { ROOT } from '../paths.ts';

export type Library = typeof import('../../src/index.ts');

/** The built library, as users get it. */
export function importLibrary(): Promise<Library> {
  return import(new URL('dist/index.js', ROOT).href);
}

/** Which kernels it runs, or on which adapter. */
export function describeDevice(device: Device): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
  const kernels = 'kernels' in device ? `, ${device.kernels} kernels` : '';
  const threads = 'threads' in device ? `, ${device.threads} threads` : '';
  const adapter = device.kind === 'webgpu' ? `, ${device.name}` : '';
  const flags = process.execArgv.length > 0 ? `, node ${process.execArgv.join(' ')}` : '';
  return `fm-g-cam ${version}${kernels}${threads}${adapter}${flags}`;
}

/** What a device computes on, if that is a WebGPU adapter. */
export function adapterOf(device: Device): string | undefined {
  return 'adapterInfo' in device ? nameOfAdapter(device.adapterInfo as GPUAdapterInfo) : undefined;
}

export function nameOfAdapter({ description, device, vendor }: GPUAdapterInfo): string {
  return description || device || vendor;
}

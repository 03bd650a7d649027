import { readFileSync } from 'node:fs';
import { ROOT } from '../paths.ts';

export type Library = typeof import('../../src/index.ts');

/** The built library, as users get it. */
export function importLibrary(): Promise<Library> {
  return import(new URL('dist/index.js', ROOT).href);
}

/** The CPU device: which kernels it runs. */
export function describeDevice(device: object): string {
  const { version } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
  const kernels = 'kernels' in device ? `, ${device.kernels} kernels` : '';
  const threads = 'threads' in device ? `, ${device.threads} threads` : '';
  const flags = process.execArgv.length > 0 ? `, node ${process.execArgv.join(' ')}` : '';
  return `fm-g-cam ${version}${kernels}${threads}${flags}`;
}

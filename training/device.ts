import { createDevice, type Device } from '../src/index.ts';
import { count } from './options.ts';

/** The CPU device: it computes the same, bit for bit, however many threads it has. */
export function openDevice(threads: string | undefined): Promise<Device> {
  return createDevice('cpu', threads ? { threads: count(threads, 'threads') } : {});
}

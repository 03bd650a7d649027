import { CpuDevice } from '../cpu/device.ts';
import type { Call } from './calls.ts';
import { PreparedCall } from './prepared-call.ts';

/** Relative L2: the largest distance to the TypeScript kernels that is due to the order of sums. */
export const TOLERANCE = 1e-4;

/** What the TypeScript kernels compute. */
export async function oracleResult(call: Call, values: readonly Float32Array[]): Promise<ArrayLike<number>> {
  const oracle = new CpuDevice({ kernels: 'typescript' });
  try {
    using run = new PreparedCall(oracle, call, values);
    return await run.result();
  } finally {
    oracle.destroy();
  }
}

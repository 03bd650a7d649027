import { DeviceError, messageOf } from '../../errors.ts';
import { relativeError } from '../../relative-error.ts';
import type { Device } from '../device.ts';
import { findAdapter, openAdapter } from '../webgpu/adapter.ts';
import type { WebGpuDevice } from '../webgpu/device.ts';
import { obstacle, TILINGS, type Tiling } from '../webgpu/tiles.ts';
import type { Call } from './calls.ts';
import { oracleResult, TOLERANCE } from './oracle.ts';
import { PreparedCall, randomInputs } from './prepared-call.ts';
import type { Trial } from './table.ts';

const ROUNDS = 5;
/** Milliseconds of work that the host waits for at once: many times as long as the waiting itself takes. */
const LONG_ENOUGH = 10;
const MOST_RUNS = 64;
/** A tiling so much slower than the best, twice, will not catch up. One time may be due to another process. */
const HOPELESS = 3;

/**
 * Times a call with every tiling, in turn. One whose result is not that of the TypeScript kernels, or that fails, is
 * rejected before it is timed.
 * @param devices of one adapter, one for each tiling
 */
export async function tryTilings(call: Call, devices: ReadonlyMap<Tiling, Device>): Promise<Trial> {
  const values = randomInputs(call);
  const expected = await oracleResult(call, values);
  const rejected: Partial<Record<Tiling, string>> = {};
  const times: Partial<Record<Tiling, number>> = {};
  const runs: Partial<Record<Tiling, number>> = {};
  const prepared = new Map<Tiling, PreparedCall>();
  try {
    for (const [tiling, device] of devices) {
      const problem = await prepare(device);
      if (typeof problem === 'string') rejected[tiling] = problem;
      else prepared.set(tiling, problem);
    }
    for (let round = 0; round < ROUNDS; round++) {
      const best = Math.min(...Object.values(times));
      for (const [tiling, run] of prepared) {
        const before = times[tiling];
        if (round >= 2 && before !== undefined && before > HOPELESS * best) continue;
        runs[tiling] ??= Math.min(MOST_RUNS, Math.ceil(LONG_ENOUGH / (await run.time(1))));
        times[tiling] = Math.min(before ?? Number.POSITIVE_INFINITY, await run.time(runs[tiling]));
      }
    }
    return { times, rejected };
  } finally {
    for (const run of prepared.values()) run[Symbol.dispose]();
  }

  async function prepare(device: Device): Promise<PreparedCall | string> {
    let run: PreparedCall | undefined;
    try {
      run = new PreparedCall(device, call, values);
      const error = relativeError(await run.result(), expected);
      if (error <= TOLERANCE) return run;
      run[Symbol.dispose]();
      return `differs from the TypeScript kernels by ${error.toExponential(1)} (relative L2)`;
    } catch (error) {
      run?.[Symbol.dispose]();
      return messageOf(error);
    }
  }
}

/**
 * A device of the preferred adapter for each tiling that it can run. Weights are in f32 whatever FMGCAM_STORAGE says: rounded
 * ones are further from the TypeScript kernels than what is rejected.
 */
export async function openTilings(): Promise<Map<Tiling, WebGpuDevice>> {
  const open = async (tiles: Tiling) => {
    const search = await findAdapter();
    if (!search.found) throw new DeviceError(`there is nothing to tune: ${search.reason}`);
    return openAdapter(search, { tiles, storage: 'f32', tuning: null });
  };
  const devices = new Map<Tiling, WebGpuDevice>();
  const first = await open('register');
  for (const tiling of TILINGS) {
    if (tiling === 'register') devices.set(tiling, first);
    else if (!obstacle(tiling, first.target)) devices.set(tiling, await open(tiling));
  }
  return devices;
}

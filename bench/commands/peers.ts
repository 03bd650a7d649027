import { relativeError } from '../../src/relative-error.ts';
import { type Contestant, conditionsOf, interleave, type Timed } from '../contest.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job, Processor } from '../protocol.ts';
import { numeric, type Table, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { peerTarget, type Target, webgpuTarget } from '../targets.ts';
import { attempt, nodeWorker, pythonWorker, RELAXED_SIMD, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';

/* Whole networks, forward only: ours and the runtimes that others would use, on the CPU or on one WebGPU adapter. */

const OURS = 'fm-g-cam';
export const PYTORCH = 'PyTorch';

interface Peer {
  readonly name: string;
  readonly open: (threads: number) => Worker;
}

const ORT_NODE: Peer = {
  name: 'onnxruntime-node',
  open: (threads) => nodeWorker('onnxruntime', threads, { args: ['onnxruntime-node'] }),
};

const ON_CPU: readonly Peer[] = [
  { name: 'onnxruntime-web', open: (threads) => nodeWorker('onnxruntime', threads, { args: ['onnxruntime-web'] }) },
  ORT_NODE,
  { name: 'tfjs-backend-wasm', open: (threads) => nodeWorker('tfjs', threads) },
  { name: PYTORCH, open: (threads) => pythonWorker('pytorch', threads) },
];
const ON_WEBGPU: readonly Peer[] = [
  { name: 'tfjs-backend-webgpu', open: (threads) => nodeWorker('tfjs', threads) },
  ORT_NODE,
];

export const openOurs = (threads: number) => nodeWorker('ours', threads, { flags: RELAXED_SIMD });

/** Outputs that differ by more, in relative L2, are not those of the same network. */
const SAME_NETWORK = 1e-3;

const SAME_POLLING =
  'TensorFlow.js waits for the GPU as this library does, with naps between polls; ONNX Runtime waits in native code.';

const BLAS =
  'PyTorch 1.13 with one thread leaves 1x1 convolutions to the BLAS of the system, which is slow where that is the reference BLAS.';

interface Runtime extends Contestant {
  readonly name: string;
  readonly about: string;
  /** Relative L2 distance of its logits from ours. */
  readonly distance: number;
}

interface Heat {
  readonly network: string;
  readonly threads: number;
  /** Where they compute, if that is not the CPU. */
  readonly adapter: string | undefined;
  readonly timed: readonly Timed<Runtime>[];
  /** Runtimes that could not take part, and why. */
  readonly missing: readonly string[];
}

export async function peers({ models, device, threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const network of models) {
    for (const count of threads) heats.push(await runHeat(jobFor(network, count, device), rounds));
  }
  const runtimes = heats.flatMap(({ timed }) => timed.map(({ contestant }) => contestant.about));
  const remarks = device === 'webgpu' ? [SAME_POLLING] : threads.includes(1) ? [BLAS] : [];
  return {
    conditions: [conditionsOf(rounds), ...new Set(runtimes)],
    tables: [timesTable(heats, device), ratiosTable(heats, device)],
    notes: [...remarks, ...new Set(heats.flatMap(({ missing }) => missing))],
    measurements: heats.map(({ timed, ...heat }) => ({
      ...heat,
      runtimes: timed.map(({ contestant: { name, about, distance }, times, summary }) => ({
        name,
        about,
        distance,
        ...summary,
        times,
      })),
    })),
  };
}

/** All runtimes on one network with one number of threads, or on one adapter. */
function runHeat(job: Job, rounds: number): Promise<Heat> {
  const { network, device, threads } = job;
  const place = device === 'webgpu' ? 'WebGPU' : `${threads} thread${threads > 1 ? 's' : ''}`;
  console.error(`${network}, ${place}`);
  return withWorkers(async (start) => {
    const worker = start(openOurs(threads));
    const about = await worker.load(job);
    const adapter = await worker.adapter();
    const expected = await worker.output('forward');
    const runtimes: Runtime[] = [{ name: OURS, worker, action: 'forward', about, distance: 0 }];
    const missing: string[] = [];
    for (const { name, open } of device === 'webgpu' ? ON_WEBGPU : ON_CPU) {
      const peer = start(open(threads));
      const loaded = await attempt(peer.load(job));
      if ('reason' in loaded) {
        missing.push(`${name}, ${place}: left out, ${loaded.reason}`);
        continue;
      }
      if (device === 'webgpu') await requireSameAdapter(name, peer, adapter);
      const distance = relativeError(await peer.output('forward'), expected);
      if (!(distance <= SAME_NETWORK)) {
        throw new Error(
          `${name} computes another ${network}: its logits are ${distance.toExponential(1)} from ours (relative L2)`,
        );
      }
      runtimes.push({ name, worker: peer, action: 'forward', about: loaded.result, distance });
    }
    return { network, threads, adapter, timed: await interleave(runtimes, rounds), missing };
  });
}

/** @throws Error when a runtime says that it computes on another adapter than ours */
export async function requireSameAdapter(name: string, peer: Worker, ours: string | undefined): Promise<void> {
  const theirs = await peer.adapter();
  if (theirs !== undefined && theirs !== ours)
    throw new Error(`${name} computes on "${theirs}", and ours on "${ours}"`);
}

/** The column of tables that says where something ran. */
export const PLACE = { cpu: numeric('threads'), webgpu: text('adapter') } as const;

export function placeOf({ adapter, threads }: Pick<Heat, 'adapter' | 'threads'>): string {
  return adapter ?? `${threads}`;
}

function timesTable(heats: readonly Heat[], device: Processor): Table {
  return {
    title: 'One forward pass, batch of 1, 224 x 224',
    columns: [text('network'), PLACE[device], text('runtime'), ...TIME_COLUMNS, numeric('logits from ours')],
    rows: heats.flatMap((heat) =>
      heat.timed.map(({ contestant: { name, distance }, summary }) => [
        heat.network,
        placeOf(heat),
        name,
        ...timeCells(summary),
        name === OURS ? '–' : distance.toExponential(1),
      ]),
    ),
  };
}

function ratiosTable(heats: readonly Heat[], device: Processor): Table {
  return {
    title: 'Our time over theirs',
    columns: [text('network'), PLACE[device], text('ours over'), ...targetColumns('ratio', { bound: 'at most' })],
    rows: heats.flatMap((heat) => {
      const [ours, ...others] = heat.timed;
      return others.map(({ contestant: { name }, summary }) => {
        const ratio = (ours?.summary.min ?? Number.NaN) / summary.min;
        const noisy = summary.noisy || ours?.summary.noisy === true;
        return [heat.network, placeOf(heat), name, ...targetCells(ratio, targetOf(name, heat), noisy)];
      });
    }),
  };
}

function targetOf(peer: string, { network, adapter, threads }: Heat): Target | undefined {
  return adapter === undefined ? peerTarget(peer, network, threads) : webgpuTarget(peer, network, adapter);
}

import { type Contestant, conditionsOf, interleave, type Timed } from '../contest.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job } from '../protocol.ts';
import { numeric, type Table, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { relativeError } from '../statistics.ts';
import { peerTarget } from '../targets.ts';
import { attempt, nodeWorker, pythonWorker, RELAXED_SIMD, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';

/* Whole networks, forward only: ours and the runtimes that others would use. */

const OURS = 'fm-g-cam';
export const PYTORCH = 'PyTorch';

const PEERS: readonly { readonly name: string; readonly open: (threads: number) => Worker }[] = [
  { name: 'onnxruntime-web', open: (threads) => nodeWorker('onnxruntime', threads, { args: ['onnxruntime-web'] }) },
  { name: 'onnxruntime-node', open: (threads) => nodeWorker('onnxruntime', threads, { args: ['onnxruntime-node'] }) },
  { name: 'tfjs-backend-wasm', open: (threads) => nodeWorker('tfjs', threads) },
  { name: PYTORCH, open: (threads) => pythonWorker('pytorch', threads) },
];

export const openOurs = (threads: number) => nodeWorker('ours', threads, { flags: RELAXED_SIMD });

/** Outputs that differ by more, in relative L2, are not those of the same network. */
const SAME_NETWORK = 1e-3;

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
  readonly timed: readonly Timed<Runtime>[];
  /** Runtimes that could not take part, and why. */
  readonly missing: readonly string[];
}

export async function peers({ models, threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const network of models) {
    for (const count of threads) heats.push(await runHeat(jobFor(network, count), rounds));
  }
  const runtimes = heats.flatMap(({ timed }) => timed.map(({ contestant }) => contestant.about));
  return {
    conditions: [conditionsOf(rounds), ...new Set(runtimes)],
    tables: [timesTable(heats), ratiosTable(heats)],
    notes: [...(threads.includes(1) ? [BLAS] : []), ...new Set(heats.flatMap(({ missing }) => missing))],
    measurements: heats.map(({ network, threads, timed, missing }) => ({
      network,
      threads,
      missing,
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

/** All runtimes on one network with one number of threads. */
function runHeat(job: Job, rounds: number): Promise<Heat> {
  const { network, threads } = job;
  console.error(`${network}, ${threads} thread${threads > 1 ? 's' : ''}`);
  return withWorkers(async (start) => {
    const worker = start(openOurs(threads));
    const about = await worker.load(job);
    const expected = await worker.output('forward');
    const runtimes: Runtime[] = [{ name: OURS, worker, action: 'forward', about, distance: 0 }];
    const missing: string[] = [];
    for (const { name, open } of PEERS) {
      const peer = start(open(threads));
      const loaded = await attempt(peer.load(job));
      if ('reason' in loaded) {
        missing.push(`${name}, ${threads} thread${threads > 1 ? 's' : ''}: left out, ${loaded.reason}`);
        continue;
      }
      const distance = relativeError(await peer.output('forward'), expected);
      if (!(distance <= SAME_NETWORK)) {
        throw new Error(
          `${name} computes another ${network}: its logits are ${distance.toExponential(1)} from ours (relative L2)`,
        );
      }
      runtimes.push({ name, worker: peer, action: 'forward', about: loaded.result, distance });
    }
    return { network, threads, timed: await interleave(runtimes, rounds), missing };
  });
}

function timesTable(heats: readonly Heat[]): Table {
  return {
    title: 'One forward pass, batch of 1, 224 x 224',
    columns: [text('network'), numeric('threads'), text('runtime'), ...TIME_COLUMNS, numeric('logits from ours')],
    rows: heats.flatMap(({ network, threads, timed }) =>
      timed.map(({ contestant: { name, distance }, summary }) => [
        network,
        `${threads}`,
        name,
        ...timeCells(summary),
        name === OURS ? '–' : distance.toExponential(1),
      ]),
    ),
  };
}

function ratiosTable(heats: readonly Heat[]): Table {
  return {
    title: 'Our time over theirs',
    columns: [text('network'), numeric('threads'), text('ours over'), ...targetColumns('ratio', { bound: 'at most' })],
    rows: heats.flatMap(({ network, threads, timed: [ours, ...others] }) =>
      others.map(({ contestant: { name }, summary }) => {
        const ratio = (ours?.summary.min ?? Number.NaN) / summary.min;
        const noisy = summary.noisy || ours?.summary.noisy === true;
        return [network, `${threads}`, name, ...targetCells(ratio, peerTarget(name, network, threads), noisy)];
      }),
    ),
  };
}

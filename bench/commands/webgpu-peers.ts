import { availableParallelism } from 'node:os';
import { conditionsOf, interleave, type Timed } from '../contest.ts';
import { type Convolution, describe, distinctShapes, resnet50Convolutions } from '../convolutions.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import {
  milliseconds,
  numeric,
  type Table,
  TIME_COLUMNS,
  targetCells,
  targetColumns,
  text,
  timeCells,
} from '../report.ts';
import { relativeError, type Summary } from '../statistics.ts';
import { TARGETS, type Target, webgpuTarget } from '../targets.ts';
import { attempt, nodeWorker, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';

/* Networks and convolutions on the GPU of this machine: ours and the other runtimes on WebGPU. */

const OURS = 'fm-g-cam';
const TFJS = 'tfjs-backend-webgpu';
const PEERS = [
  { name: TFJS, open: (threads: number) => nodeWorker('tfjs', threads, { args: ['webgpu'] }) },
  {
    name: 'onnxruntime-node',
    open: (threads: number) => nodeWorker('onnxruntime', threads, { args: ['onnxruntime-node', 'webgpu'] }),
  },
];
const EXPLANATION = 'fm-g-cam, FM-G-CAM with K = 5 at layer4';

/** Outputs that differ by more, in relative L2, are not those of the same network. */
const SAME_NETWORK = 1e-3;

interface Runtime {
  readonly name: string;
  readonly worker: Worker;
  readonly action: string;
}

interface Heat {
  readonly network: string;
  readonly timed: readonly Timed<Runtime>[];
  readonly host: { readonly microseconds: number; readonly dispatches: number };
}

export async function webgpuPeers({ models, rounds }: Options): Promise<Findings> {
  const about = new Set<string>();
  const heats: Heat[] = [];
  for (const network of models) heats.push(await runHeat(network, rounds, about));
  const shapes = await runShapes(rounds);
  return {
    conditions: [conditionsOf(rounds), ...about],
    tables: [timesTable(heats), ratiosTable(heats), shapesTable(shapes)],
    notes: ['All wait for the GPU with the same naps between polls, but for ONNX Runtime, which waits in native code.'],
    measurements: {
      networks: heats.map(({ network, timed, host }) => ({ network, host, runtimes: timesOf(timed) })),
      shapes,
    },
  };
}

const timesOf = (timed: readonly Timed<Runtime>[]) =>
  timed.map(({ contestant: { name }, times, summary }) => ({ name, ...summary, times }));

function runHeat(network: string, rounds: number, about: Set<string>): Promise<Heat> {
  console.error(network);
  const threads = availableParallelism();
  const job = jobFor(network, threads);
  return withWorkers(async (start) => {
    const worker = start(nodeWorker('webgpu', threads));
    about.add(await worker.load(job));
    const expected = await worker.output('forward');
    const runtimes: Runtime[] = [
      { name: OURS, worker, action: 'forward' },
      { name: EXPLANATION, worker, action: 'explain' },
    ];
    for (const { name, open } of PEERS) {
      const peer = start(open(threads));
      const loaded = await attempt(peer.load(job));
      if ('reason' in loaded) {
        about.add(`${name}: left out, ${loaded.reason}`);
        continue;
      }
      const distance = relativeError(await peer.output('forward'), expected);
      if (!(distance <= SAME_NETWORK)) {
        throw new Error(`${name} computes another ${network}: its logits are ${distance.toExponential(1)} from ours`);
      }
      about.add(loaded.result);
      runtimes.push({ name, worker: peer, action: 'forward' });
    }
    const timed = await interleave(runtimes, rounds);
    const [microseconds = Number.NaN, dispatches = 0] = await worker.output('host');
    return { network, timed, host: { microseconds, dispatches } };
  });
}

interface Shape {
  readonly shape: Convolution;
  readonly ours: Summary;
  readonly theirs: Summary;
}

/** Each convolution of ResNet-50, ours and TensorFlow.js's. */
function runShapes(rounds: number): Promise<Shape[]> {
  const threads = availableParallelism();
  const job = jobFor('resnet50', threads);
  return withWorkers(async (start) => {
    const [ours, theirs] = [
      start(nodeWorker('webgpu', threads)),
      start(nodeWorker('tfjs', threads, { args: ['webgpu'] })),
    ];
    await ours.load(job);
    if ('reason' in (await attempt(theirs.load(job)))) return [];
    const results: Shape[] = [];
    for (const { shape } of distinctShapes(resnet50Convolutions())) {
      const action = describe(shape);
      console.error(action);
      const [mine, other] = await interleave(
        [ours, theirs].map((worker) => ({ worker, action })),
        rounds,
      );
      if (mine && other) results.push({ shape, ours: mine.summary, theirs: other.summary });
    }
    return results;
  });
}

function timesTable(heats: readonly Heat[]): Table {
  return {
    title: 'One forward pass on WebGPU, batch of 1, 224 x 224',
    columns: [text('network'), text('runtime'), ...TIME_COLUMNS],
    rows: heats.flatMap(({ network, timed }) =>
      timed.map(({ contestant: { name }, summary }) => [network, name, ...timeCells(summary)]),
    ),
  };
}

function ratiosTable(heats: readonly Heat[]): Table {
  return {
    title: 'Ratios',
    columns: [text('network'), text('ratio'), ...targetColumns('value', { bound: 'at most' })],
    rows: heats.flatMap(({ network, timed, host }) => {
      const [ours, explanation, ...others] = timed;
      if (!ours || !explanation) return [];
      const row = (name: string, a: Summary, b: Summary, target: Target | undefined) => [
        network,
        name,
        ...targetCells(a.min / b.min, target, a.noisy || b.noisy),
      ];
      return [
        ...others.map(({ contestant: { name }, summary }) =>
          row(`ours over ${name}`, ours.summary, summary, webgpuTarget(name, network)),
        ),
        row('our explanation over our forward pass', explanation.summary, ours.summary, TARGETS.explanationOverForward),
        [
          network,
          `host, µs for each of ${host.dispatches} dispatches`,
          ...targetCells(host.microseconds, TARGETS.hostPerDispatch, false),
        ],
      ];
    }),
  };
}

function shapesTable(shapes: readonly Shape[]): Table {
  return {
    title: `ResNet-50's convolutions, with bias and ReLU, against ${TFJS}`,
    columns: [
      text('shape'),
      numeric('ours, ms'),
      numeric('theirs, ms'),
      ...targetColumns('ratio', { bound: 'at most' }),
    ],
    rows: shapes.map(({ shape, ours, theirs }) => [
      describe(shape),
      milliseconds(ours.min),
      milliseconds(theirs.min),
      ...targetCells(ours.min / theirs.min, TARGETS.convolutionOverTfjs, ours.noisy || theirs.noisy),
    ]),
  };
}

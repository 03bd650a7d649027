import { relativeError } from '../../src/relative-error.ts';
import { conditionsOf, interleave } from '../contest.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job } from '../protocol.ts';
import { numeric, type Table, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { summarise } from '../statistics.ts';
import { TARGETS, type Target } from '../targets.ts';
import { attempt, pythonWorker, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';
import { openOurs, PLACE, PYTORCH, placeOf } from './peers.ts';

/*
 * FM-G-CAM with K = 5 at layer4 of ResNet-50: against our own forward pass, and against the authors' procedure on the CPU;
 * on WebGPU, also what a forward pass costs the host.
 */

const NETWORK = 'resnet50';
/** Passes over a small image, of which the second half counts: V8 compiles what runs once in a pass after dozens of passes. */
const RECORDINGS = 100;
const PROCEDURE =
  "The authors' library needs PyTorch 2; bench/workers/pytorch.py follows its procedure step by step on any version.";
/** The maps are quotients of small differences, in single precision on both sides. */
const SAME_MAPS = 1e-2;

export async function cam({ device, threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const count of threads) heats.push(await runHeat(jobFor(NETWORK, count, device), rounds));
  return {
    conditions: [conditionsOf(rounds), ...new Set(heats.flatMap(({ abouts }) => abouts))],
    tables: [
      {
        title: `FM-G-CAM of ${NETWORK}, K = 5 at layer4, from a prepared image to the fused maps`,
        columns: [PLACE[device], text('runtime'), text('what'), ...TIME_COLUMNS],
        rows: heats.flatMap((heat) =>
          heat.entries.map(({ runtime, what, summary }) => [placeOf(heat), runtime, what, ...timeCells(summary)]),
        ),
      },
      {
        title: 'Ratios',
        columns: [PLACE[device], text('ratio of times'), ...targetColumns('ratio', { bound: 'at most' })],
        rows: heats.flatMap(ratioRows),
      },
      ...(device === 'webgpu' ? [recordingTable(heats)] : []),
    ],
    notes: [...(device === 'cpu' ? [PROCEDURE] : []), ...new Set(heats.flatMap(({ missing }) => missing))],
    measurements: heats,
  };
}

type Heat = Awaited<ReturnType<typeof runHeat>>;

function runHeat(job: Job, rounds: number) {
  const { network, device, threads } = job;
  console.error(`${network}, ${device === 'webgpu' ? 'WebGPU' : `${threads} threads`}`);
  return withWorkers(async (start) => {
    const ours = start(openOurs(threads));
    const abouts = [await ours.load(job)];
    const contestants = ['forward', 'explain'].map((action) => ({ worker: ours, action, runtime: 'fm-g-cam' }));
    const missing: string[] = [];
    if (device === 'cpu') {
      const python = start(pythonWorker('pytorch', threads));
      const loaded = await attempt(python.load(job));
      if ('reason' in loaded) {
        missing.push(`${PYTORCH}: left out, ${loaded.reason}`);
      } else {
        const distance = await requireSameMaps(ours, python);
        abouts.push(`${loaded.result}, maps ${distance.toExponential(1)} from ours in mode \`reference\``);
        for (const action of ['forward', 'explain']) contestants.push({ worker: python, action, runtime: PYTORCH });
      }
    }
    const timed = await interleave(contestants, rounds);
    const entries = timed.map(({ contestant: { runtime, action }, times, summary }) => ({
      runtime,
      what: action,
      summary,
      times,
    }));
    const adapter = await ours.adapter();
    const recording = device === 'webgpu' ? await timeRecording(ours) : undefined;
    return { threads, adapter, abouts, entries, recording, missing };
  });
}

/** What the host does for a forward pass on WebGPU, when all is in its caches. */
async function timeRecording(ours: Worker) {
  const [dispatches = Number.NaN] = await ours.output('dispatches');
  const times: number[] = [];
  for (let run = 0; run < RECORDINGS; run++) times.push(...(await ours.output('record')));
  return { dispatches, times, summary: summarise(times.slice(RECORDINGS / 2)) };
}

function recordingTable(heats: readonly Heat[]): Table {
  return {
    title: 'What the host does for a forward pass: recording all dispatches and handing them to the driver',
    columns: [
      PLACE.webgpu,
      numeric('dispatches'),
      ...TIME_COLUMNS,
      ...targetColumns('µs for each', TARGETS.hostPerDispatch),
    ],
    rows: heats.flatMap((heat) => {
      if (!heat.recording) return [];
      const { dispatches, summary } = heat.recording;
      const each = (1000 * summary.min) / dispatches;
      return [
        [
          placeOf(heat),
          `${dispatches}`,
          ...timeCells(summary),
          ...targetCells(each, TARGETS.hostPerDispatch, summary.noisy),
        ],
      ];
    }),
  };
}

async function requireSameMaps(ours: Worker, python: Worker): Promise<number> {
  const distance = relativeError(await ours.output('explainAsReference'), await python.output('explain'));
  if (!(distance <= SAME_MAPS)) {
    throw new Error(`our maps and those on PyTorch differ by ${distance.toExponential(1)} (relative L2)`);
  }
  return distance;
}

function ratioRows(heat: Heat): string[][] {
  const { entries } = heat;
  const summaryOf = (runtime: string, what: string) =>
    entries.find((entry) => entry.runtime === runtime && entry.what === what)?.summary;
  const [forward, explain] = [summaryOf('fm-g-cam', 'forward'), summaryOf('fm-g-cam', 'explain')];
  const [theirForward, theirExplain] = [summaryOf(PYTORCH, 'forward'), summaryOf(PYTORCH, 'explain')];
  const pairs: [string, typeof forward, typeof forward, Target | undefined][] = [
    ['our explanation over our forward pass', explain, forward, TARGETS.explanationOverForward],
    ['our explanation over theirs', explain, theirExplain, TARGETS.explanationOverReference],
    ['their explanation over their forward pass', theirExplain, theirForward, undefined],
  ];
  return pairs.flatMap(([what, over, under, target]) =>
    over && under
      ? [[placeOf(heat), what, ...targetCells(over.min / under.min, target, over.noisy || under.noisy)]]
      : [],
  );
}

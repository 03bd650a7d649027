import { conditionsOf, interleave } from '../contest.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job } from '../protocol.ts';
import { numeric, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { relativeError } from '../statistics.ts';
import { TARGETS, type Target } from '../targets.ts';
import { attempt, pythonWorker, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';
import { openOurs, PYTORCH } from './peers.ts';

/* FM-G-CAM with K = 5 at layer4 of ResNet-50: against our own forward pass, and against the authors' procedure. */

const NETWORK = 'resnet50';
/** The maps are quotients of small differences, in single precision on both sides. */
const SAME_MAPS = 1e-2;

export async function cam({ threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const count of threads) heats.push(await runHeat(jobFor(NETWORK, count), rounds));
  return {
    conditions: [conditionsOf(rounds), ...new Set(heats.flatMap(({ abouts }) => abouts))],
    tables: [
      {
        title: `FM-G-CAM of ${NETWORK}, K = 5 at layer4, from a prepared image to the fused maps`,
        columns: [numeric('threads'), text('runtime'), text('what'), ...TIME_COLUMNS],
        rows: heats.flatMap(({ threads, entries }) =>
          entries.map(({ runtime, what, summary }) => [`${threads}`, runtime, what, ...timeCells(summary)]),
        ),
      },
      {
        title: 'Ratios',
        columns: [numeric('threads'), text('ratio of times'), ...targetColumns('ratio', { bound: 'at most' })],
        rows: heats.flatMap(ratioRows),
      },
    ],
    notes: [
      "The authors' library needs PyTorch 2; bench/workers/pytorch.py follows its procedure step by step on any version.",
      ...new Set(heats.flatMap(({ missing }) => missing)),
    ],
    measurements: heats,
  };
}

type Heat = Awaited<ReturnType<typeof runHeat>>;

function runHeat(job: Job, rounds: number) {
  console.error(`${job.network}, ${job.threads} threads`);
  return withWorkers(async (start) => {
    const ours = start(openOurs(job.threads));
    const abouts = [await ours.load(job)];
    const contestants = ['forward', 'explain'].map((action) => ({ worker: ours, action, runtime: 'fm-g-cam' }));
    const missing: string[] = [];
    const python = start(pythonWorker('pytorch', job.threads));
    const loaded = await attempt(python.load(job));
    if ('reason' in loaded) {
      missing.push(`${PYTORCH}: left out, ${loaded.reason}`);
    } else {
      const distance = await requireSameMaps(ours, python);
      abouts.push(`${loaded.result}, maps ${distance.toExponential(1)} from ours in mode \`reference\``);
      for (const action of ['forward', 'explain']) contestants.push({ worker: python, action, runtime: PYTORCH });
    }
    const timed = await interleave(contestants, rounds);
    const entries = timed.map(({ contestant: { runtime, action }, times, summary }) => ({
      runtime,
      what: action,
      summary,
      times,
    }));
    return { threads: job.threads, abouts, entries, missing };
  });
}

async function requireSameMaps(ours: Worker, python: Worker): Promise<number> {
  const distance = relativeError(await ours.output('explainAsReference'), await python.output('explain'));
  if (!(distance <= SAME_MAPS)) {
    throw new Error(`our maps and those on PyTorch differ by ${distance.toExponential(1)} (relative L2)`);
  }
  return distance;
}

function ratioRows({ threads, entries }: Heat): string[][] {
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
      ? [[`${threads}`, what, ...targetCells(over.min / under.min, target, over.noisy || under.noisy)]]
      : [],
  );
}

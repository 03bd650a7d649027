import { relativeError } from '../../src/relative-error.ts';
import { conditionsOf, interleave, LONG_RUNS } from '../contest.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job } from '../protocol.ts';
import { numeric, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { TARGETS } from '../targets.ts';
import { attempt, pythonWorker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';
import { openOurs, PYTORCH } from './peers.ts';

/* Insertion, deletion, AD, IIC and ADD of maps of 7 x 7 cells: ours, and the procedure of the library that the paper used. */

/** As bench/workers has them. */
const MAPS = 2;
/** A default evaluation has two methods and five classes. */
const MAPS_PER_IMAGE = 10;
/** Scores of the same network along the same curves, in relative L2. */
const SAME_CURVES = 1e-3;

export async function metrics({ models, threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const network of models) {
    for (const count of threads) heats.push(await runHeat(jobFor(network, count), rounds));
  }
  return {
    conditions: [conditionsOf(rounds, LONG_RUNS), ...new Set(heats.flatMap(({ abouts }) => abouts))],
    tables: [
      {
        title: `DAUC, DC, IAUC, IC (49 steps), AD, IIC and ADD of ${MAPS} maps of one image, 224 x 224`,
        columns: [
          text('network'),
          numeric('threads'),
          text('runtime'),
          ...TIME_COLUMNS,
          numeric(`images/s, ${MAPS_PER_IMAGE} maps each`),
        ],
        rows: heats.flatMap(({ network, threads, entries }) =>
          entries.map(({ runtime, summary }) => [
            network,
            `${threads}`,
            runtime,
            ...timeCells(summary),
            ((1000 * MAPS) / MAPS_PER_IMAGE / summary.min).toFixed(3),
          ]),
        ),
      },
      {
        title: 'Our time over theirs',
        columns: [text('network'), numeric('threads'), ...targetColumns('ratio', { bound: 'at most' })],
        rows: heats.flatMap(ratioRows),
      },
    ],
    notes: [
      'The library takes 104 pictures for each map, with batches of 20; ours at most 98, and 3 more for all maps of an image.',
      ...new Set(heats.flatMap(({ missing }) => missing)),
    ],
    measurements: heats,
  };
}

type Heat = Awaited<ReturnType<typeof runHeat>>;

function runHeat(job: Job, rounds: number) {
  const { network, threads } = job;
  console.error(`${network}, ${threads} threads`);
  return withWorkers(async (start) => {
    const ours = start(openOurs(threads));
    const abouts = [await ours.load(job)];
    const contestants = [{ worker: ours, action: 'evaluate', runtime: 'fm-g-cam' }];
    const missing: string[] = [];
    const python = start(pythonWorker('pytorch', threads));
    const loaded = await attempt(python.load(job));
    if ('reason' in loaded) {
      missing.push(`${PYTORCH}: left out, ${loaded.reason}`);
    } else {
      const distance = relativeError(await ours.output('evaluate'), await python.output('evaluate'));
      if (!(distance <= SAME_CURVES))
        throw new Error(`our curves and those on PyTorch differ by ${distance.toExponential(1)} (relative L2)`);
      abouts.push(`${loaded.result}, curves ${distance.toExponential(1)} from ours`);
      contestants.push({ worker: python, action: 'evaluate', runtime: PYTORCH });
    }
    const timed = await interleave(contestants, rounds, LONG_RUNS);
    const entries = timed.map(({ contestant: { runtime }, times, summary }) => ({ runtime, summary, times }));
    return { network, threads, abouts, entries, missing };
  });
}

function ratioRows({ network, threads, entries: [ours, theirs] }: Heat): string[][] {
  if (!ours || !theirs) return [];
  const noisy = ours.summary.noisy || theirs.summary.noisy;
  const ratio = ours.summary.min / theirs.summary.min;
  return [[network, `${threads}`, ...targetCells(ratio, TARGETS.metricsOverLibrary, noisy)]];
}

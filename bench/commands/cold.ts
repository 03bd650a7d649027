import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job } from '../protocol.ts';
import { numeric, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { type Summary, summarise } from '../statistics.ts';
import { TARGETS } from '../targets.ts';
import { nodeWorker, RELAXED_SIMD, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';

/* What the first explanation of a fresh process costs beyond a later one. */

const NETWORK = 'resnet50';
/** Enough explanations for compilers to have seen everything. */
const LATER = 6;

const STAGES = {
  import: 'the library is imported',
  open: 'the device is opened, the weights are parsed',
  first: 'first explanation: kernels compiled, weights folded and packed',
  warm: 'a later explanation',
} as const;
type Stage = keyof typeof STAGES;

export async function cold({ threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const count of threads) {
    const job = jobFor(NETWORK, count);
    const processes: Record<Stage, number[]>[] = [];
    for (let round = 0; round < rounds; round++) processes.push(await runProcess(job));
    heats.push(summariseProcesses(count, processes));
  }
  return {
    conditions: [
      `${rounds} fresh processes, ${LATER} later explanations in each`,
      'the file of the weights has been read',
      ...(RELAXED_SIMD.length > 0 ? [`node ${RELAXED_SIMD.join(' ')}`] : []),
    ],
    tables: [
      {
        title: `FM-G-CAM of ${NETWORK}, K = 5 at layer4, in a fresh process`,
        columns: [numeric('threads'), text('stage'), ...TIME_COLUMNS],
        rows: heats.flatMap(({ threads, stages }) =>
          stageNames.map((stage) => [`${threads}`, STAGES[stage], ...timeCells(stages[stage])]),
        ),
      },
      {
        title: 'Ratios',
        columns: [numeric('threads'), text('ratio of times'), ...targetColumns('ratio', { bound: 'at most' })],
        rows: heats.flatMap(ratioRows),
      },
    ],
    notes: [],
    measurements: heats,
  };
}

const stageNames = Object.keys(STAGES) as Stage[];

function runProcess(job: Job): Promise<Record<Stage, number[]>> {
  return withWorkers(async (start) => {
    const worker = start(nodeWorker('cold', job.threads, { flags: RELAXED_SIMD }));
    await worker.load(job);
    return {
      import: await worker.time('import', 1),
      open: await worker.time('open', 1),
      first: await worker.time('explain', 1),
      warm: await worker.time('explain', LATER),
    };
  });
}

interface Heat {
  readonly threads: number;
  readonly stages: Readonly<Record<Stage, Summary>>;
  readonly processes: readonly Record<Stage, number[]>[];
}

function summariseProcesses(threads: number, processes: readonly Record<Stage, number[]>[]): Heat {
  const of = (stage: Stage) => summarise(processes.flatMap((times) => times[stage]));
  const stages = { import: of('import'), open: of('open'), first: of('first'), warm: of('warm') };
  return { threads, stages, processes };
}

function ratioRows({ threads, stages: { import: imported, open, first, warm } }: Heat): string[][] {
  const sinceStart = imported.min + open.min + first.min;
  return [
    [
      `${threads}`,
      'first explanation over a later one',
      ...targetCells(first.min / warm.min, TARGETS.coldOverWarm, first.noisy || warm.noisy),
    ],
    [
      `${threads}`,
      'all from the import on over a later one',
      ...targetCells(sinceStart / warm.min, undefined, first.noisy || warm.noisy),
    ],
  ];
}

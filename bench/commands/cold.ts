import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import type { Job } from '../protocol.ts';
import { TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import { type Summary, summarise } from '../statistics.ts';
import { TARGETS } from '../targets.ts';
import { nodeWorker, RELAXED_SIMD, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';
import { PLACE, placeOf } from './peers.ts';

/* What the first explanation of a fresh process costs beyond a later one. */

const NETWORK = 'resnet50';
/** Enough explanations for compilers to have seen everything. */
const LATER = 6;

const DRIVER_CACHES =
  'Drivers may keep compiled kernels on disk, and then nothing is compiled in a fresh process; Mesa does not with MESA_SHADER_CACHE_DISABLE=true.';

const STAGES = {
  import: 'the library is imported',
  open: 'the device is opened, the weights are parsed',
  first: 'first explanation: kernels compiled, weights folded and packed',
  warm: 'a later explanation',
} as const;
type Stage = keyof typeof STAGES;

export async function cold({ device, threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const count of threads) {
    const job = jobFor(NETWORK, count, device);
    const processes: Process[] = [];
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
        columns: [PLACE[device], text('stage'), ...TIME_COLUMNS],
        rows: heats.flatMap((heat) =>
          stageNames.map((stage) => [placeOf(heat), STAGES[stage], ...timeCells(heat.stages[stage])]),
        ),
      },
      {
        title: 'Ratios',
        columns: [PLACE[device], text('ratio of times'), ...targetColumns('ratio', { bound: 'at most' })],
        rows: heats.flatMap(ratioRows),
      },
    ],
    notes: device === 'webgpu' ? [DRIVER_CACHES] : [],
    measurements: heats,
  };
}

const stageNames = Object.keys(STAGES) as Stage[];

interface Process {
  readonly times: Record<Stage, number[]>;
  readonly adapter: string | undefined;
}

function runProcess(job: Job): Promise<Process> {
  return withWorkers(async (start) => {
    const worker = start(nodeWorker('cold', job.threads, { flags: RELAXED_SIMD }));
    await worker.load(job);
    const times = {
      import: await worker.time('import', 1),
      open: await worker.time('open', 1),
      first: await worker.time('explain', 1),
      warm: await worker.time('explain', LATER),
    };
    return { times, adapter: await worker.adapter() };
  });
}

interface Heat {
  readonly threads: number;
  readonly adapter: string | undefined;
  readonly stages: Readonly<Record<Stage, Summary>>;
  readonly processes: readonly Record<Stage, number[]>[];
}

function summariseProcesses(threads: number, runs: readonly Process[]): Heat {
  const processes = runs.map(({ times }) => times);
  const of = (stage: Stage) => summarise(processes.flatMap((times) => times[stage]));
  const stages = { import: of('import'), open: of('open'), first: of('first'), warm: of('warm') };
  return { threads, adapter: runs[0]?.adapter, stages, processes };
}

function ratioRows(heat: Heat): string[][] {
  const { import: imported, open, first, warm } = heat.stages;
  const target = heat.adapter === undefined ? TARGETS.coldOverWarm : undefined;
  const sinceStart = imported.min + open.min + first.min;
  return [
    [
      placeOf(heat),
      'first explanation over a later one',
      ...targetCells(first.min / warm.min, target, first.noisy || warm.noisy),
    ],
    [
      placeOf(heat),
      'all from the import on over a later one',
      ...targetCells(sinceStart / warm.min, undefined, first.noisy || warm.noisy),
    ],
  ];
}

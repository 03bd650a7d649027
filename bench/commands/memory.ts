import { liveActivationBytes, weightBytes } from '../convolutions.ts';
import { jobFor, weights } from '../networks.ts';
import { numeric, type Table, targetCells, targetColumns, text } from '../report.ts';
import { TARGETS } from '../targets.ts';
import { nodeWorker, RELAXED_SIMD, withWorkers } from '../worker.ts';
import type { Loop, Usage } from '../workers/memory.ts';
import type { Findings } from './findings.ts';

/* The peak of memory against its floor, and whether explaining a thousand images leaves anything behind. */

const THREADS = 1;
const LOOP = { network: 'resnet20-cifar10', size: 32 } as const;
const SETTLED = 100;
const EXPLANATIONS = 1000;

export async function memory(): Promise<Findings> {
  const peak = await measurePeak();
  const growth = await measureGrowth();
  return {
    conditions: [peak.about],
    tables: [peakTable(peak), growthTable(growth)],
    notes: [
      'The floor is the weights with batch norms folded, and operands and result of the largest single convolution; what an explanation keeps besides, and the copy of the weights on the host, are not in it.',
      'Device memory counts everything that is reserved, whether in use or free for reuse.',
    ],
    measurements: { peak, growth },
  };
}

const openWorker = () => nodeWorker('memory', THREADS, { flags: ['--expose-gc', ...RELAXED_SIMD] });

type Peak = Awaited<ReturnType<typeof measurePeak>>;

function measurePeak() {
  const job = jobFor('resnet50', THREADS);
  return withWorkers(async (start) => {
    const worker = start(openWorker());
    return {
      about: String(await worker.request('about')),
      floor: weightBytes() + liveActivationBytes(),
      empty: (await worker.request('usage')) as Usage,
      forward: (await worker.request('forward', job)) as Usage,
      explanation: (await worker.request('explain', job)) as Usage,
    };
  });
}

type Growth = Awaited<ReturnType<typeof measureGrowth>>;

function measureGrowth() {
  return withWorkers(async (start) => {
    const worker = start(openWorker());
    const loop = (times: number) => {
      const request: Loop = { ...LOOP, safetensors: weights(LOOP.network), times };
      return worker.request('loop', request) as Promise<Usage>;
    };
    return { settled: await loop(SETTLED), first: await loop(EXPLANATIONS), second: await loop(EXPLANATIONS) };
  });
}

function peakTable({ floor, empty, forward, explanation }: Peak): Table {
  const row = (what: string, { reserved, resident, residentPeak }: Usage) => [
    what,
    megabytes(floor),
    megabytes(reserved),
    ...targetCells(reserved / floor, TARGETS.memoryOverFloor, false),
    megabytes(resident),
    megabytes(residentPeak),
  ];
  return {
    title: 'ResNet-50, batch of 1: megabytes (10^6 bytes) at the peak',
    columns: [
      text('after'),
      numeric('floor'),
      numeric('device memory'),
      ...targetColumns('over floor', { bound: 'at most' }),
      numeric('process'),
      numeric('process, peak'),
    ],
    rows: [
      [
        'nothing',
        '',
        megabytes(empty.reserved),
        '',
        '',
        '',
        '',
        megabytes(empty.resident),
        megabytes(empty.residentPeak),
      ],
      row('a forward pass', forward),
      row('an explanation, K = 5', explanation),
    ],
  };
}

function growthTable({ settled, first, second }: Growth): Table {
  const row = (what: string, key: keyof Usage, format: (value: number) => string) => [
    what,
    ...[settled, first, second].map((usage) => format(usage[key])),
    format(second[key] - first[key]),
  ];
  return {
    title: `${LOOP.network} at ${LOOP.size} x ${LOOP.size}: explanation after explanation`,
    columns: [
      text('held'),
      ...[0, 1, 2].map((times) => numeric(`after ${SETTLED + times * EXPLANATIONS}`)),
      numeric(`growth in the last ${EXPLANATIONS}`),
    ],
    rows: [
      row('blocks in use on the device', 'blocks', String),
      row('bytes in use on the device', 'live', String),
      row('MB reserved on the device', 'reserved', megabytes),
      row('MB of JavaScript heap', 'heap', megabytes),
      row('MB of the process', 'resident', megabytes),
    ],
  };
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

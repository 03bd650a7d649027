import { conditionsOf, interleave } from '../contest.ts';
import { shareBehind } from '../convolutions.ts';
import {
  explained,
  FORWARD,
  GRADIENT_LAYERS,
  GRADIENT_METHODS,
  type GradientLayer,
  MANY_PASSES,
  type ManyPasses,
  passesOf,
} from '../methods.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import { numeric, TIME_COLUMNS, targetCells, targetColumns, text, timeCells } from '../report.ts';
import type { Summary } from '../statistics.ts';
import { TARGETS } from '../targets.ts';
import { nodeWorker, RELAXED_SIMD, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';

/* Methods of one pass and one walk back against the pass, and those of many passes against the passes. */

const NETWORK = 'resnet50';
const CLASSES = 5;
const LIMITS = { layer4: TARGETS.methodAtLayer4, layer2: TARGETS.methodAtLayer2 };

export async function methods({ threads, rounds }: Options): Promise<Findings> {
  const heats: Heat[] = [];
  for (const count of threads) heats.push(await runHeat(count, rounds));
  return {
    conditions: [conditionsOf(rounds), ...heats.map(({ about }) => about)],
    tables: [
      {
        title: `One pass and one walk back: ${NETWORK}, K = ${CLASSES}, from a prepared image to the maps`,
        columns: [
          numeric('threads'),
          text('layer'),
          text('what'),
          ...TIME_COLUMNS,
          numeric('floor'),
          ...targetColumns('over forward', { bound: 'at most' }),
        ],
        rows: heats.flatMap(gradientRows),
      },
      {
        title: `A pass for each channel: K = ${CLASSES}, from a prepared image to the maps`,
        columns: [
          numeric('threads'),
          text('network'),
          text('layer'),
          numeric('channels'),
          text('what'),
          ...TIME_COLUMNS,
          ...targetColumns('throughput', { bound: 'at least' }),
        ],
        rows: heats.flatMap(({ threads, passes }) => passes.flatMap((entry) => passRows(threads, entry))),
      },
    ],
    notes: [
      'The floor counts multiply-adds: those of the forward pass, and for each class those of the convolutions behind the layer once more.',
      'Fusion adds equations 4 to 6 to any method, a few sweeps over [K,I,J]: fm-g-cam stands for all fusions.',
      'The plain passes are one of the image, and one for each channel through what the method must run (score-cam: all; ablation-cam: what is behind the layer), in the same batches of variants that are there already.',
      "Score-CAM at ResNet-50's layer4 is 2048 passes. ResNet-18's layer1 has 64, of which none is left out.",
    ],
    measurements: heats,
  };
}

type Heat = Awaited<ReturnType<typeof runHeat>>;

function runHeat(threads: number, rounds: number) {
  console.error(`${threads} threads`);
  return withWorkers(async (start) => {
    const open = async (network: string) => {
      const worker = start(nodeWorker('methods', threads, { flags: RELAXED_SIMD }));
      return { worker, about: await worker.load(jobFor(network, threads)) };
    };
    const { worker, about } = await open(NETWORK);
    const explanations = GRADIENT_LAYERS.flatMap((layer) =>
      GRADIENT_METHODS.map((method) => ({ worker, action: explained({ method, layer }), method, layer })),
    );
    const timed = await interleave([{ worker, action: FORWARD }, ...explanations], rounds);
    const [forward, ...gradients] = timed.map(({ contestant, summary, times }) => ({
      layer: 'layer' in contestant ? contestant.layer : undefined,
      what: 'method' in contestant ? contestant.method : contestant.action,
      summary,
      times,
    }));
    if (!forward) throw new Error('the forward pass is measured first');
    const workers = { [NETWORK]: worker, resnet18: (await open('resnet18')).worker };
    const passes = [];
    for (const contest of MANY_PASSES) passes.push(await runPasses(workers[contest.network], contest, rounds));
    return { threads, about, forward, gradients, passes };
  });
}

async function runPasses(worker: Worker, contest: ManyPasses, rounds: number) {
  const actions = [passesOf(contest), explained(contest)];
  const [plain, method] = await interleave(
    actions.map((action) => ({ worker, action })),
    rounds,
  );
  if (!plain || !method) throw new Error('the passes are measured before the method');
  return { contest, plain: plain.summary, method: method.summary };
}

function gradientRows({ threads, forward, gradients }: Heat): string[][] {
  return [forward, ...gradients].map(({ layer, what, summary }) => [
    `${threads}`,
    layer ?? '–',
    what,
    ...timeCells(summary),
    ...(layer
      ? [(1 + CLASSES * shareBehind(layer)).toFixed(2), ...overForward(layer, summary, forward.summary)]
      : ['', '', '', '', '']),
  ]);
}

function overForward(layer: GradientLayer, method: Summary, forward: Summary): string[] {
  return targetCells(method.min / forward.min, LIMITS[layer], method.noisy || forward.noisy);
}

function passRows(threads: number, { contest, plain, method }: Heat['passes'][number]): string[][] {
  const { network, layer, channels } = contest;
  const row = (what: string, summary: Summary) => [
    `${threads}`,
    network,
    layer,
    `${channels}`,
    what,
    ...timeCells(summary),
  ];
  const throughput = targetCells(plain.min / method.min, TARGETS.throughputOfPasses, plain.noisy || method.noisy);
  return [
    [...row('plain passes', plain), '', '', '', ''],
    [...row(contest.method, method), ...throughput],
  ];
}

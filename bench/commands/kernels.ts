import { conditionsOf, interleave } from '../contest.ts';
import {
  type Convolution,
  describe,
  distinctShapes,
  gflops,
  operations,
  resnet50Convolutions,
} from '../convolutions.ts';
import type { Options } from '../options.ts';
import { milliseconds, numeric, targetCells, targetColumns, text } from '../report.ts';
import { TARGETS } from '../targets.ts';
import { nodeWorker, RELAXED_SIMD, withWorkers } from '../worker.ts';
import { convolutions } from './convolutions.ts';
import type { Findings } from './findings.ts';

/* Each convolution shape of ResNet-50 on one thread, against the peak of the same process; or on WebGPU. */

const PEAK = 'peak';
const MEGA = 1e6;

interface Prepared {
  readonly about: string;
  readonly peak: string;
  readonly peakOperations: number;
}

export function kernels(options: Options): Promise<Findings> {
  return options.device === 'webgpu' ? convolutions(options) : kernelsOnCpu(options);
}

async function kernelsOnCpu({ rounds }: Options): Promise<Findings> {
  const shapes = distinctShapes(resnet50Convolutions());
  return withWorkers(async (start) => {
    const worker = start(nodeWorker('kernels', 1, { flags: RELAXED_SIMD }));
    const byName: Record<string, Convolution> = Object.fromEntries(shapes.map(({ shape }) => [describe(shape), shape]));
    const prepared = (await worker.request('prepare', byName)) as Prepared;
    const contestants = [
      { worker, action: PEAK, operations: prepared.peakOperations, count: 0 },
      ...shapes.map(({ shape, count }) => ({ worker, action: describe(shape), operations: operations(shape), count })),
    ];
    const timed = await interleave(contestants, rounds);
    const measured = timed.map(({ contestant: { action, operations, count }, times, summary }) => ({
      name: action,
      count,
      operations,
      ...summary,
      gflops: gflops(operations, summary.min),
      times,
    }));
    const [peak, ...convolutions] = measured;
    if (!peak) throw new Error('the peak is measured first');

    const count = convolutions.reduce((sum, shape) => sum + shape.count, 0);
    const all = convolutions.reduce((sum, { operations, count }) => sum + operations * count, 0);
    const time = convolutions.reduce((sum, { min, count }) => sum + min * count, 0);
    return {
      conditions: [
        `one thread, ${conditionsOf(rounds)}`,
        prepared.about,
        `peak: ${peak.gflops.toFixed(1)} GFLOP/s, ${prepared.peak} on registers${peak.noisy ? ' (noise)' : ''}`,
      ],
      tables: [
        {
          title: "ResNet-50's convolutions, with bias and ReLU",
          columns: [
            text('shape'),
            numeric('in the network'),
            numeric('MFLOP'),
            numeric('min, ms'),
            numeric('GFLOP/s'),
            ...targetColumns('of the peak', { bound: 'at least' }),
          ],
          rows: [
            ...convolutions.map(({ name, count, operations, min, gflops, noisy }) => [
              name,
              `${count}`,
              (operations / MEGA).toFixed(0),
              milliseconds(min),
              gflops.toFixed(1),
              ...targetCells(gflops / peak.gflops, TARGETS.fractionOfPeak, noisy || peak.noisy),
            ]),
            [
              'all of them',
              `${count}`,
              (all / MEGA).toFixed(0),
              milliseconds(time),
              gflops(all, time).toFixed(1),
              (gflops(all, time) / peak.gflops).toFixed(2),
              '',
              '',
              '',
            ],
          ],
        },
      ],
      notes: [
        'MFLOP counts the products and sums of the definition; an algorithm that needs fewer, such as Winograd, may exceed the peak.',
      ],
      measurements: measured,
    };
  });
}

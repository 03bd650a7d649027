import { relativeError } from '../../src/relative-error.ts';
import { type Contestant, conditionsOf, interleave, paceOf, type Timed } from '../contest.ts';
import { describe, distinctShapes, gflops, operations, resnet50Convolutions } from '../convolutions.ts';
import type { Options } from '../options.ts';
import { CONVOLUTIONS_PER_WAIT, whole } from '../protocol.ts';
import { milliseconds, numeric, targetCells, targetColumns, text } from '../report.ts';
import { summarise } from '../statistics.ts';
import { convolutionTarget } from '../targets.ts';
import { nodeWorker, type Worker, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';
import { requireSameAdapter } from './peers.ts';

/* Each convolution shape of ResNet-50 on WebGPU, against TensorFlow.js on the same adapter. */

const PEER = 'tfjs-backend-webgpu';
/** Results that differ by more, in relative L2, are not those of the same convolution. */
const SAME_RESULT = 1e-4;

export async function convolutions({ rounds }: Options): Promise<Findings> {
  const shapes = distinctShapes(resnet50Convolutions()).map((entry) => ({ ...entry, name: describe(entry.shape) }));
  const byName = Object.fromEntries(shapes.map(({ name, shape }) => [name, shape]));
  return withWorkers(async (start) => {
    const ours = start(nodeWorker('convolutions', 1));
    const theirs = start(nodeWorker('tfjs-convolutions', 1));
    const abouts = [await ours.load(byName), await theirs.load(byName)];
    const adapter = (await ours.adapter()) ?? '';
    await requireSameAdapter(PEER, theirs, adapter);

    const duels = [];
    for (const { name, shape, count } of shapes) {
      console.error(name);
      const distance = await requireSameResult(name, ours, theirs);
      const workers = [ours, theirs].map((worker) => ({ worker, action: name }));
      const [our, their] = (await interleave(workers, rounds, await paceOf(workers))).map(forEach);
      if (!our || !their) throw new Error('two runtimes are timed');
      duels.push({ name, count, shape, distance, ours: our, theirs: their, ratio: our.min / their.min });
    }
    return {
      conditions: [adapter, conditionsOf(rounds, paceOf), ...abouts],
      tables: [
        {
          title: "ResNet-50's convolutions, with bias and ReLU: our time over that of TensorFlow.js",
          columns: [
            text('shape'),
            numeric('in the network'),
            numeric('ours, ms'),
            numeric('theirs, ms'),
            numeric('ours, GFLOP/s'),
            numeric('theirs'),
            numeric('result from ours'),
            ...targetColumns('ratio', { bound: 'at most' }),
          ],
          rows: duels.map(({ name, count, shape, distance, ours, theirs, ratio }) => [
            name,
            `${count}`,
            milliseconds(ours.min),
            milliseconds(theirs.min),
            gflops(operations(shape), ours.min).toFixed(1),
            gflops(operations(shape), theirs.min).toFixed(1),
            distance.toExponential(1),
            ...targetCells(ratio, convolutionTarget(shape, adapter), ours.noisy || theirs.noisy),
          ]),
        },
      ],
      notes: [
        `A time goes from operands on the device to one value on the host, polled for in the same way; it is a ${CONVOLUTIONS_PER_WAIT}th of that of ${CONVOLUTIONS_PER_WAIT} convolutions after each other.`,
      ],
      measurements: duels,
    };
  });
}

/** The times of one convolution. */
function forEach({ times: ofAll }: Timed<Contestant>) {
  const times = ofAll.map((time) => time / CONVOLUTIONS_PER_WAIT);
  return { ...summarise(times), times };
}

/** Relative L2 distance of their result from ours. */
async function requireSameResult(name: string, ours: Worker, theirs: Worker): Promise<number> {
  const distance = relativeError(await theirs.output(whole(name)), await ours.output(whole(name)));
  if (!(distance <= SAME_RESULT)) {
    throw new Error(`${PEER} computes another ${name}: ${distance.toExponential(1)} from ours (relative L2)`);
  }
  return distance;
}

import { conditionsOf, interleave, LONG_RUNS, type Pace } from '../contest.ts';
import { GRADIENT_FREE_METHODS, GRADIENT_METHODS, leastCost } from '../explanations.ts';
import { jobFor } from '../networks.ts';
import type { Options } from '../options.ts';
import { milliseconds, numeric, targetCells, targetColumns, text } from '../report.ts';
import type { Summary } from '../statistics.ts';
import { TARGETS } from '../targets.ts';
import { nodeWorker, RELAXED_SIMD, withWorkers } from '../worker.ts';
import type { Findings } from './findings.ts';

/* Explanations of ResNet-50 by many methods, K = 5, each against the forward passes that it cannot do without. */

const NETWORK = 'resnet50';
const CLASSES = 5;
/** Runs of seconds need no more. */
const ROUNDS_OF_LONG_RUNS = 1;

const LAYERS = {
  layer4: { stage: 4, target: TARGETS.methodAtLayer4 },
  layer2: { stage: 2, target: TARGETS.methodAtLayer2 },
} as const;

export async function methods({ rounds }: Options): Promise<Findings> {
  return withWorkers(async (start) => {
    const worker = start(nodeWorker('methods', 1, { flags: RELAXED_SIMD }));
    const about = await worker.load(jobFor(NETWORK, 1));
    const times: Record<string, { readonly summary: Summary; readonly times: readonly number[] }> = {};
    const measure = async (actions: readonly string[], rounds: number, pace?: Pace): Promise<void> => {
      const contestants = actions.map((action) => ({ worker, action }));
      for (const { contestant, ...timed } of await interleave(contestants, rounds, pace))
        times[contestant.action] = timed;
    };
    const summaryOf = (action: string): Summary => {
      const found = times[action];
      if (!found) throw new Error(`"${action}" has not been measured`);
      return found.summary;
    };

    await measure(['forward', ...GRADIENT_METHODS.map(({ method, layer }) => `${method} ${layer}`)], rounds);
    const long = GRADIENT_FREE_METHODS.map(({ method, layer }) => `${method} ${layer}`);
    await measure(
      long.flatMap((action) => [`plain ${action}`, action]),
      ROUNDS_OF_LONG_RUNS,
      LONG_RUNS,
    );

    const forward = summaryOf('forward');
    return {
      conditions: [conditionsOf(rounds), `gradient-free: ${conditionsOf(ROUNDS_OF_LONG_RUNS, LONG_RUNS)}`, about],
      tables: [
        ...Object.entries(LAYERS).map(([name, { stage, target }]) => ({
          title: `Explanations of ${NETWORK}, K = ${CLASSES} at ${name}, from a prepared image to the maps; a forward pass takes ${milliseconds(forward.min)} ms`,
          columns: [
            text('method'),
            numeric('min, ms'),
            numeric('median, ms'),
            numeric('floor'),
            ...targetColumns('over forward', target),
          ],
          rows: GRADIENT_METHODS.filter(({ layer }) => layer === name).map(({ method, layer }) => {
            const { min, median, noisy } = summaryOf(`${method} ${layer}`);
            const floor = leastCost(stage, method === 'eigen-cam' || method === 'cam' ? 0 : CLASSES);
            const ratio = targetCells(min / forward.min, target, noisy || forward.noisy);
            return [method, milliseconds(min), milliseconds(median), floor.toFixed(2), ...ratio];
          }),
        })),
        {
          title:
            'Methods without gradients: against a forward pass and plain batches through the layers that run again',
          columns: [
            text('method'),
            text('layer'),
            numeric('variants'),
            numeric('plain, ms'),
            numeric('method, ms'),
            ...targetColumns('throughput', TARGETS.throughputOfVariants),
          ],
          rows: GRADIENT_FREE_METHODS.map(({ method, layer, variants }) => {
            const [plain, whole] = [summaryOf(`plain ${method} ${layer}`), summaryOf(`${method} ${layer}`)];
            const cells = targetCells(plain.min / whole.min, TARGETS.throughputOfVariants, plain.noisy || whole.noisy);
            return [method, layer, `${variants}`, milliseconds(plain.min), milliseconds(whole.min), ...cells];
          }),
        },
      ],
      notes: [
        `floor: a forward pass and ${CLASSES} walks back through the convolutions behind the layer, in multiply-adds, over the forward pass; with Winograd's algorithm for all 3x3 convolutions of stride 1 on both ways.`,
        'eigen-grad-cam at layer2 also multiplies a matrix of 512 x 784 by its transpose for each class, which is another third of a forward pass.',
      ],
      measurements: times,
    };
  });
}

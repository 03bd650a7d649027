import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { adamW, initialise, serializeSafetensors, Trainable, Trainer, tensor, warmUpCosine } from '../src/index.ts';
import { resnetScenes } from '../src/nn/models/resnet.ts';
import { type Batch, BatchLoader } from './batches.ts';
import { type LogLine, lossCurve } from './charts.ts';
import { CLASS_NAMES, SEEN_STYLES } from './classes.ts';
import { openDevice } from './device.ts';
import { writeWhole } from './files.ts';
import { count, fraction } from './options.ts';
import { SIZE } from './scenes.ts';

/* `npm run train:scenes`: trains the network on scenes, from a seed, and goes on where it was stopped. */

const { values: given } = parseArgs({
  options: {
    /** Scenes of the first part of the training, and of the second. */
    images: { type: 'string', default: '330000' },
    crowded: { type: 'string', default: '240000' },
    batch: { type: 'string', default: '32' },
    rate: { type: 'string', default: '0.001' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string' },
    out: { type: 'string', default: 'out/scenes' },
    /** Stops after so many scenes, for a training in instalments. */
    until: { type: 'string' },
  },
});
const images = count(given.images, 'images');
const crowded = count(given.crowded, 'crowded');
const batchSize = count(given.batch, 'batch');
const seed = count(given.seed, 'seed');
const WEIGHT_DECAY = 0.05;
/** The share of the first part in which some scenes are easy. */
const EASING = 0.3;
/** Seconds between lines of progress, and between checkpoints. */
const REPORT_EVERY = 15;
const SAVE_EVERY = 60;

/** A part of the training, whose learning rate rises and falls to 0 again. */
interface Part {
  readonly first: number;
  readonly steps: number;
  readonly rateOf: (step: number) => number;
  /** Weights of scenes with one object, two, three and four. */
  readonly objects: readonly number[];
}

function part(first: number, images: number, peak: number, objects: readonly number[]): Part {
  const steps = Math.floor(images / batchSize);
  return {
    first,
    steps,
    objects,
    rateOf: warmUpCosine({ peak, warmUp: Math.min(200, Math.floor(steps / 10)), steps }),
  };
}

const rate = fraction(given.rate, 'rate');
/** What things look like is learnt best where there are few; then to see one beside the other. */
const things = part(0, images, rate, [0.4, 0.47, 0.09, 0.04]);
const pairs = part(things.steps, crowded, rate / 2, [0.15, 0.75, 0.07, 0.03]);
const parts = [things, pairs];
const steps = things.steps + pairs.steps;
const lastStep = given.until ? Math.min(steps, Math.floor(count(given.until, 'until') / batchSize)) : steps;

const paths = {
  checkpoint: `${given.out}/checkpoint.safetensors`,
  network: `${given.out}/network.safetensors`,
  log: `${given.out}/log.json`,
  curve: `${given.out}/loss.png`,
};

mkdirSync(given.out, { recursive: true });
const device = await openDevice(given.threads);
const module = resnetScenes(CLASS_NAMES.length);
initialise(module, seed);
const network = new Trainable(module, device);
const trainer = new Trainer(network, adamW({ weightDecay: WEIGHT_DECAY }));
let log: LogLine[] = [];
if (existsSync(paths.checkpoint)) {
  trainer.restore(readFileSync(paths.checkpoint), paths.checkpoint);
  const lines: LogLine[] = existsSync(paths.log) ? JSON.parse(readFileSync(paths.log, 'utf8')) : [];
  log = lines.filter((line) => line.images <= trainer.steps * batchSize);
  console.log(`${paths.checkpoint}: goes on at step ${trainer.steps} of ${steps}`);
}
let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    stopping = true;
  });
}

const began = performance.now();
const firstStep = trainer.steps;
let [reported, saved] = [began, began];
let since = { steps: 0, loss: 0, correct: 0 };
const loader = new BatchLoader({
  styles: SEEN_STYLES,
  seed,
  size: batchSize,
  first: firstStep * batchSize,
  parts: parts.map(({ first, objects }) => ({ from: first * batchSize, objects })),
  distractors: 0.3,
  augment: true,
  easing: EASING * images,
});
for (const current of parts) await run(current);
loader.close();
await save();
device.destroy();

/** What is left of a part. */
async function run({ first, steps, rateOf }: Part): Promise<void> {
  const end = Math.min(first + steps, lastStep);
  while (trainer.steps < end && !stopping) {
    const learningRate = rateOf(trainer.steps - first);
    const result = await step(await loader.take(), learningRate);
    // Signals are heard between steps.
    await setImmediate();
    since = { steps: since.steps + 1, loss: since.loss + result.loss, correct: since.correct + result.correct };
    const now = performance.now();
    if (now - reported > 1000 * REPORT_EVERY || trainer.steps === lastStep) {
      report(now, learningRate);
      reported = now;
    }
    if (now - saved > 1000 * SAVE_EVERY) {
      await save();
      saved = now;
    }
  }
}

/** One step: its loss, and of how many scenes the class that the network named first is there. */
async function step(batch: Batch, learningRate: number): Promise<{ loss: number; correct: number }> {
  const images = tensor(device, batch.images, [batchSize, 3, SIZE, SIZE]);
  const targets = tensor(device, batch.targets, [batchSize, CLASS_NAMES.length]);
  const { loss, logits } = trainer.step(images, targets, learningRate);
  try {
    const [value, scores] = [await loss.item(), await logits.data()];
    if (!Number.isFinite(value)) throw new Error(`the loss is ${value}: the training diverged; lower --rate`);
    return { loss: value, correct: countCorrect(scores, batch.targets) };
  } finally {
    for (const tensor of [images, targets, loss, logits]) tensor.dispose();
  }
}

function countCorrect(scores: ArrayLike<number>, targets: Float32Array): number {
  const classes = CLASS_NAMES.length;
  let correct = 0;
  for (let row = 0; row < batchSize; row++) {
    let best = row * classes;
    for (let i = best; i < (row + 1) * classes; i++) if ((scores[i] ?? 0) > (scores[best] ?? 0)) best = i;
    if ((targets[best] ?? 0) > 0) correct++;
  }
  return correct;
}

function report(now: number, learningRate: number): void {
  const seen = trainer.steps * batchSize;
  const speed = ((trainer.steps - firstStep) * batchSize) / ((now - began) / 1000);
  const left = ((steps - trainer.steps) * batchSize) / speed / 60;
  const line = { images: seen, loss: since.loss / since.steps, accuracy: since.correct / since.steps / batchSize };
  log.push(line);
  since = { steps: 0, loss: 0, correct: 0 };
  console.log(
    `step ${trainer.steps} of ${steps}  loss ${line.loss.toFixed(3)}  accuracy ${(100 * line.accuracy).toFixed(1)} %  ` +
      `learning rate ${learningRate.toFixed(4)}  ${speed.toFixed(1)} scenes/s  ${left.toFixed(0)} min left`,
  );
}

async function save(): Promise<void> {
  const metadata = {
    classes: JSON.stringify(CLASS_NAMES),
    images: String(trainer.steps * batchSize),
    seed: String(seed),
  };
  writeWhole(paths.checkpoint, await trainer.checkpoint());
  writeWhole(paths.network, serializeSafetensors(await network.stateDict(), metadata, 'F16'));
  writeWhole(paths.log, JSON.stringify(log));
  if (log.length > 0) writeWhole(paths.curve, await lossCurve(log, images + crowded));
}

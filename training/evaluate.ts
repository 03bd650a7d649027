import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Device, loadModel, type Model, tensor, withScope } from '../src/index.ts';
import { batchOf } from './batches.ts';
import { confusionMatrix } from './charts.ts';
import { CLASS_NAMES, TEST_STYLES, TRAINING_STYLES } from './classes.ts';
import { openDevice } from './device.ts';
import { writeWhole } from './files.ts';
import { count, fraction } from './options.ts';
import { drawScene, type Scene, type SceneOptions, SIZE } from './scenes.ts';
import { loadArtwork } from './sprites.ts';

/* How often a network is right, on scenes in a style that it has never seen. */

const { values: given } = parseArgs({
  options: {
    weights: { type: 'string', default: 'models/resnet-scenes.safetensors' },
    scenes: { type: 'string', default: '1500' },
    seed: { type: 'string', default: '1000' },
    threads: { type: 'string' },
    /** Draws with the styles of the training instead. */
    seen: { type: 'boolean', default: false },
    /** A probability. */
    distractors: { type: 'string', default: '0' },
    confusion: { type: 'string' },
  },
});
const BATCH = 50;

const model = loadModel('resnet-scenes', readFileSync(given.weights), { file: given.weights });
const device = await openDevice(given.threads);
const options = {
  artwork: loadArtwork(given.seen ? TRAINING_STYLES : TEST_STYLES),
  seed: count(given.seed, 'seed'),
  distractors: fraction(given.distractors, 'distractors'),
  augment: false,
};
const total = count(given.scenes, 'scenes');

const single = await rankings({ ...options, objects: 1 });
const counts = CLASS_NAMES.map(() => CLASS_NAMES.map(() => 0));
for (const { scene, ranking } of single) {
  const row = counts[scene.objects[0] ?? 0] ?? [];
  const named = ranking[0] ?? 0;
  row[named] = (row[named] ?? 0) + 1;
}
const right = counts.reduce((sum, row, i) => sum + (row[i] ?? 0), 0);
console.log(`one object, named first: ${percent(right, total)}`);
for (const [i, row] of counts.entries()) {
  const scenes = row.reduce((a, b) => a + b, 0);
  const others = [...row.entries()]
    .filter(([j, wrong]) => j !== i && wrong > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 4)
    .map(([j, wrong]) => `${CLASS_NAMES[j]} ${wrong}`);
  console.log(`  ${(CLASS_NAMES[i] ?? '').padEnd(12)} ${percent(row[i] ?? 0, scenes)}  ${others.join(', ')}`);
}
if (given.confusion) writeWhole(given.confusion, await confusionMatrix(CLASS_NAMES, counts));

const double = await rankings({ ...options, objects: 2 });
const both = double.filter(({ scene, ranking }) =>
  scene.objects.every((object) => ranking.slice(0, 2).includes(object)),
);
const one = double.filter(({ scene, ranking }) => scene.objects.includes(ranking[0] ?? -1));
console.log(
  `two objects, both in the top two: ${percent(both.length, total)}; one of them first: ${percent(one.length, total)}`,
);
device.destroy();

/** Scenes, and the classes for each from the likeliest to the least likely. */
async function rankings(options: SceneOptions): Promise<{ scene: Scene; ranking: number[] }[]> {
  const scenes = Array.from({ length: total }, (_, i) => drawScene(i, options));
  const results: { scene: Scene; ranking: number[] }[] = [];
  for (let i = 0; i < total; i += BATCH) {
    const batch = scenes.slice(i, i + BATCH);
    const logits = await logitsOf(model, device, batch);
    for (const [n, scene] of batch.entries()) {
      const row = logits.slice(n * CLASS_NAMES.length, (n + 1) * CLASS_NAMES.length);
      results.push({ scene, ranking: [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0)) });
    }
  }
  return results;
}

function logitsOf(model: Model, device: Device, scenes: readonly Scene[]) {
  return withScope((scope) => {
    const images = tensor(device, batchOf(scenes).images, [scenes.length, 3, SIZE, SIZE], { scope });
    return model.forward(images).data();
  });
}

function percent(part: number, total: number): string {
  return `${((100 * part) / Math.max(1, total)).toFixed(1)} % of ${total}`;
}

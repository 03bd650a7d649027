import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { hostMaps } from '../src/cam/host-maps.ts';
import {
  type Device,
  explainTensor,
  type LocalisationMetric,
  loadModel,
  localisation,
  type MethodName,
  type Model,
  namedMethod,
  tensor,
  upsample,
  withScope,
} from '../src/index.ts';
import { meanOf } from '../src/metrics/statistics.ts';
import { batchOf } from './batches.ts';
import { TEST_STYLES, TRAINING_STYLES } from './classes.ts';
import { openDevice } from './device.ts';
import { count } from './options.ts';
import { drawScene, type Scene, SIZE } from './scenes.ts';
import { loadArtwork } from './sprites.ts';

/* How well the maps of a network that was only ever told what is there find where it is. */

const METHODS = [
  ...['fm-grad-cam', 'fm-grad-cam++', 'fm-xgrad-cam', 'fm-hires-cam', 'fm-layer-cam', 'fm-eigen-grad-cam', 'fm-cam'],
  ...['fm-score-cam', 'fm-ablation-cam', 'fm-augmented-grad-cam', 'fm-occlusion', 'fm-gradient', 'fm-input-x-gradient'],
  ...['fm-guided-backprop', 'fm-smooth-grad', 'fm-integrated-gradients', 'fm-lrp'],
];

const { values: given } = parseArgs({
  options: {
    weights: { type: 'string', default: 'models/resnet-scenes.safetensors' },
    scenes: { type: 'string', default: '200' },
    objects: { type: 'string', default: '2' },
    seed: { type: 'string', default: '2000' },
    threads: { type: 'string' },
    /** Draws with the styles of the training instead. */
    seen: { type: 'boolean', default: false },
    methods: { type: 'string', default: METHODS.join(',') },
  },
});

const COLUMNS = ['pointing', 'energy', 'iou', 'own'] as const satisfies readonly (LocalisationMetric | 'own')[];
type Result = Readonly<Record<(typeof COLUMNS)[number], number | null>>;

const model = loadModel('resnet-scenes', readFileSync(given.weights), { file: given.weights });
const device = await openDevice(given.threads);
const options = {
  artwork: loadArtwork(given.seen ? TRAINING_STYLES : TEST_STYLES),
  seed: count(given.seed, 'seed'),
  objects: count(given.objects, 'objects'),
  distractors: 0.3,
  augment: false,
};
const scenes = Array.from({ length: count(given.scenes, 'scenes') }, (_, i) => drawScene(i, options));

console.log('| method | pointing | energy | IoU | own class where fused |\n|---|---:|---:|---:|---:|');
const covered = meanOf(scenes.flatMap((scene) => scene.objects.map((_, i) => shareOf(scene, i + 1))));
row('a map of one value', [covered, covered, covered, 1 / options.objects]);
for (const name of given.methods.split(',')) {
  const { name: method, base } = namedMethod(name);
  const results: Result[] = [];
  for (const scene of scenes) results.push(...(await measure(model, device, scene, method)));
  // What is not defined counts as 0: a map that is empty has found nothing.
  row(
    base,
    COLUMNS.map((column) => meanOf(results.map((result) => result[column] ?? 0))),
  );
}
device.destroy();

function row(name: string, values: readonly number[]): void {
  console.log(`| ${[name, ...values.map((value) => `${(100 * value).toFixed(1)} %`)].join(' | ')} |`);
}

/** For each object how well its own map finds it, and whether the fused map has most of its class there. */
function measure(model: Model, device: Device, scene: Scene, method: MethodName) {
  const { objects, owners } = scene;
  return withScope(async (scope) => {
    const input = tensor(device, batchOf([scene]).images, [1, 3, SIZE, SIZE], { scope });
    using explanation = await explainTensor(model, input, { classes: objects, method });
    const { singles, fused } = explanation.tensors;
    const maps = await hostMaps(singles);
    const wholes = (await hostMaps(fused ?? singles)).map((map) => upsample(map, SIZE, SIZE));
    return objects.map((_, i) => {
      const mask = { data: owners.map((owner) => Number(owner === i + 1)), height: SIZE, width: SIZE };
      const shares = wholes.map((map) => map.reduce((sum, value, pixel) => sum + value * (mask.data[pixel] ?? 0), 0));
      const map = maps[i];
      if (!map) throw new RangeError('there is one map for each class');
      return { ...localisation(map, mask), own: Number((shares[i] ?? 0) > 0 && shares[i] === Math.max(...shares)) };
    });
  });
}

/** The share of the picture that an object covers. */
function shareOf({ owners }: Scene, owner: number): number {
  return owners.filter((value) => value === owner).length / owners.length;
}

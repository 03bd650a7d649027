import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { encodePng, UsageError } from '../src/index.ts';
import { CLASS_NAMES, TEST_STYLES, TRAINING_STYLES } from './classes.ts';
import { writeWhole } from './files.ts';
import { count } from './options.ts';
import { drawScene, SIZE } from './scenes.ts';
import { loadArtwork } from './sprites.ts';

/* Scenes to look at: each a picture of its own, drawn large, and named after what is in it. */

const { values: given } = parseArgs({
  options: {
    out: { type: 'string', default: 'out/drawn' },
    style: { type: 'string', default: TRAINING_STYLES[0] },
    scenes: { type: 'string', default: '10' },
    first: { type: 'string', default: '1' },
    objects: { type: 'string', default: '2' },
    seed: { type: 'string', default: '3000' },
    scale: { type: 'string', default: '4' },
  },
});
const STYLES = [...TRAINING_STYLES, ...TEST_STYLES];
const styles = STYLES.filter((style) => style === given.style);
if (styles.length === 0) throw new UsageError(`--style ${given.style}: use one of ${STYLES.join(', ')}`);

const scale = count(given.scale, 'scale');
const options = {
  artwork: loadArtwork(styles, scale),
  seed: count(given.seed, 'seed'),
  objects: count(given.objects, 'objects'),
  distractors: 0.3,
  augment: false,
  scale,
};
const first = count(given.first, 'first');
const size = SIZE * scale;
mkdirSync(given.out, { recursive: true });
for (let i = first; i < first + count(given.scenes, 'scenes'); i++) {
  const { pixels, objects } = drawScene(i, options);
  const file = `${given.out}/${objects.map((object) => CLASS_NAMES[object]).join('-')}.png`;
  writeWhole(file, await encodePng({ width: size, height: size, data: pixels }));
  console.log(`scene ${i}: ${file}`);
}

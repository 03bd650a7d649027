import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { encodePng } from '../src/index.ts';
import { CLASS_NAMES, SEEN_STYLES, TEST_STYLES } from './classes.ts';
import { count } from './options.ts';
import { DISTRACTOR, drawScene, SIZE } from './scenes.ts';
import { loadArtwork } from './sprites.ts';

/* A sheet of scenes to look at, and the masks of their objects below each. */

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'scenes.png' },
    test: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    objects: { type: 'string' },
    columns: { type: 'string', default: '10' },
    rows: { type: 'string', default: '5' },
  },
});
const [columns, rows] = [count(values.columns, 'columns'), count(values.rows, 'rows')];

const artwork = loadArtwork(values.test ? TEST_STYLES : SEEN_STYLES);
const missing = artwork.classes.flatMap((icons, i) => (icons.length === 0 ? [CLASS_NAMES[i]] : []));
if (missing.length > 0) console.log(`without an icon: ${missing.join(', ')}`);

const objects = values.objects ? count(values.objects, 'objects') : [4, 3, 2, 1];
const options = { artwork, seed: count(values.seed, 'seed'), objects, distractors: 0.3, augment: !values.test };
const [width, height] = [columns * SIZE, rows * SIZE * 1.5];
const sheet = new Uint8Array(3 * width * height);
const start = performance.now();
for (let i = 0; i < columns * rows; i++) {
  const { pixels, owners, objects } = drawScene(i, options);
  const [left, top] = [(i % columns) * SIZE, Math.floor(i / columns) * SIZE * 1.5];
  for (let y = 0; y < SIZE; y++)
    sheet.set(pixels.subarray(3 * y * SIZE, 3 * (y + 1) * SIZE), 3 * ((top + y) * width + left));
  for (let y = 0; y < SIZE / 2; y++) {
    for (let x = 0; x < SIZE / 2; x++) {
      const owner = owners[2 * y * SIZE + 2 * x] ?? 0;
      sheet.fill(
        owner === DISTRACTOR ? 60 : owner * 60,
        3 * ((top + SIZE + y) * width + left + x),
        3 * ((top + SIZE + y) * width + left + x) + 3,
      );
    }
  }
  if (i < columns) console.log(objects.map((object) => CLASS_NAMES[object]).join(', '));
}
console.log(`${((performance.now() - start) / columns / rows).toFixed(2)} ms a scene`);
writeFileSync(values.out, await encodePng({ width, height, data: sheet }));

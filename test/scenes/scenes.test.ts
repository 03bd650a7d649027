import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { architecture } from '../../src/nn/models/registry.ts';
import { at } from '../../src/tensor/shape.ts';
import { batchOf } from '../../training/batches.ts';
import { CLASS_NAMES, CLASSES, DISTRACTORS, namesIn, SEEN_STYLES, TEST_STYLES } from '../../training/classes.ts';
import { randomMatrix } from '../../training/colour.ts';
import { Random } from '../../training/random.ts';
import { DISTRACTOR, drawScene, NOBODY, type SceneOptions, SIZE } from '../../training/scenes.ts';
import type { Icon, Sprite } from '../../training/sprites.ts';
import { colouredIn, drawn, lineArt, recolour } from '../../training/styles.ts';

/* The generator with discs of one colour in place of the artwork, which the project's own packages do not hold. */

const SPRITE = 96;

function disc(size: number, [r = 0, g = 0, b = 0]: readonly number[]): Uint8ClampedArray {
  const inside = (i: number) => Math.hypot((i % size) - size / 2, Math.floor(i / size) - size / 2) < size * 0.45;
  return Uint8ClampedArray.from({ length: 4 * size * size }, (_, i) =>
    inside(Math.floor(i / 4)) ? at([r, g, b, 255], i % 4) : 0,
  );
}

function iconOf(colour: readonly number[]): Icon {
  const sprite = (paint: (pixels: Uint8ClampedArray) => Uint8ClampedArray): Sprite => ({
    levels: [SPRITE, SPRITE / 2, SPRITE / 4].map((size) => ({ size, pixels: paint(disc(size, colour)) })),
  });
  const [original, ...others] = [sprite((pixels) => pixels), sprite(drawn), sprite(lineArt)];
  return { original: () => original, redrawn: (random) => random.pick(others) };
}

const artwork = {
  classes: CLASS_NAMES.map((_, i) => [[iconOf([8 * i, 255 - 8 * i, 128])]]),
  distractors: [iconOf([255, 255, 255])],
};
const training: SceneOptions = { artwork, seed: 1, objects: [4, 3, 2, 1], distractors: 0.5, augment: true };

const anyScene = fc.record({
  index: fc.nat(1e6),
  seed: fc.nat(1e6),
  objects: fc.integer({ min: 1, max: 4 }),
  augment: fc.boolean(),
});

describe('drawScene', () => {
  it('draws scene i of a seed the same whatever was drawn before, and others otherwise', () => {
    const [first, second] = [drawScene(5, training), drawScene(6, training)];
    expect(drawScene(5, training)).toEqual(first);
    expect(second.pixels).not.toEqual(first.pixels);
    expect(drawScene(5, { ...training, seed: 2 }).pixels).not.toEqual(first.pixels);
  });

  it('has as many objects as asked for, of different classes, and most of each is to be seen', () => {
    fc.assert(
      fc.property(anyScene, ({ index, ...options }) => {
        const { objects, owners } = drawScene(index, { ...training, ...options });
        expect(objects).toHaveLength(options.objects);
        expect(new Set(objects).size).toBe(options.objects);
        for (const object of objects) expect(CLASS_NAMES[object]).toBeDefined();
        // The smallest disc has a radius of 0.45 * 28 pixels; a third of one may lie outside, a third below another.
        for (const [i] of objects.entries()) {
          expect(owners.filter((owner) => owner === i + 1).length).toBeGreaterThan((Math.PI * (0.45 * 28) ** 2) / 5);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('says whose each pixel is', () => {
    const options = { ...training, objects: 2, distractors: 1, augment: false };
    for (let index = 0; index < 20; index++) {
      const { pixels, objects, owners } = drawScene(index, options);
      expect(new Set(owners)).toEqual(new Set([NOBODY, DISTRACTOR, 1, 2]));
      for (const [i, object] of objects.entries()) {
        // Of one colour, but for the edge; hue and brightness may be a little off.
        const expected = [8 * object, 255 - 8 * object, 128];
        const own = [...owners.keys()].filter((pixel) => owners[pixel] === i + 1);
        const near = own.filter((pixel) =>
          expected.every((value, c) => Math.abs((pixels[3 * pixel + c] ?? 0) - value) < 70),
        );
        expect(near.length / own.length).toBeGreaterThan(0.9);
      }
    }
  });
});

describe('batchOf', () => {
  it('gives all objects of a scene equal shares, and normalises as ImageNet', () => {
    const scenes = [1, 2, 3].map((objects) => drawScene(7, { ...training, objects }));
    const { images, targets } = batchOf(scenes);
    for (const [n, { pixels, objects }] of scenes.entries()) {
      const row = targets.subarray(n * CLASS_NAMES.length, (n + 1) * CLASS_NAMES.length);
      expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
      for (const object of objects) expect(row[object]).toBeCloseTo(1 / objects.length, 6);
      // The green of the last pixel.
      const green = images[(3 * n + 2) * SIZE * SIZE - 1];
      expect(green).toBeCloseTo((at(pixels, pixels.length - 2) / 255 - 0.456) / 0.224, 5);
    }
  });
});

describe('recolour', () => {
  const body =
    '<path fill="#ff0000"/><path stroke="#fe0101" fill=\'#00f\'/><stop style="stop-color:#102030"/><use href="#abc"/>';

  it('gives equal colours equal ones, leaves dark ones and all that is no colour', () => {
    const colours = recolour(body, new Random(3)).match(/#[0-9a-f]+/g) ?? [];
    expect(colours).toHaveLength(5);
    expect(colours[1]).toBe(colours[0]);
    expect(colours[2]).not.toBe(colours[0]);
    expect(colours.slice(3)).toEqual(['#102030', '#abc']);
    expect(recolour(body, new Random(3))).toBe(recolour(body, new Random(3)));
    expect(recolour(body, new Random(4))).not.toBe(recolour(body, new Random(3)));
  });
});

describe('colouredIn', () => {
  const SIZE = 40;
  const ringOf = (inner: number) =>
    Uint8ClampedArray.from({ length: 4 * SIZE * SIZE }, (_, i) => {
      const [x, y] = [Math.floor(i / 4) % SIZE, Math.floor(i / 4 / SIZE)];
      const radius = Math.hypot(x - SIZE / 2, y - SIZE / 2);
      return i % 4 === 3 && radius > inner && radius < 15 ? 255 : 0;
    });
  const pixelAt = (pixels: Uint8ClampedArray, x: number, y: number) => [
    ...pixels.subarray(4 * (y * SIZE + x), 4 * (y * SIZE + x) + 4),
  ];

  it('fills what lines enclose, and nothing else', () => {
    const pixels = colouredIn(ringOf(12), new Random(1));
    const [middle, line, outside] = [pixelAt(pixels, 20, 20), pixelAt(pixels, 20, 33), pixelAt(pixels, 2, 2)];
    expect(middle[3]).toBe(255);
    expect(Math.max(...middle.slice(0, 3))).toBeGreaterThan(80);
    expect(line).toEqual([0, 0, 0, 255]);
    expect(outside).toEqual([0, 0, 0, 0]);
  });

  it('gives a silhouette a colour and a black line around it', () => {
    const pixels = colouredIn(ringOf(4), new Random(1));
    const [body, border] = [pixelAt(pixels, 20, 30), pixelAt(pixels, 20, 35)];
    expect(Math.max(...body.slice(0, 3))).toBeGreaterThan(80);
    expect(border).toEqual([0, 0, 0, 255]);
    expect(pixelAt(pixels, 20, 20)).not.toEqual(body);
  });
});

describe('the classes', () => {
  it('are at least 24, share no icon with each other or with the distractors', () => {
    expect(CLASS_NAMES.length).toBeGreaterThanOrEqual(24);
    const icons = [...Object.values<readonly string[]>(CLASSES).flat(), ...DISTRACTORS];
    expect(new Set(icons).size).toBe(icons.length);
  });

  it('go by other names among pictograms, each name by one class', () => {
    const icons = CLASS_NAMES.flatMap((name) => namesIn('mdi', name));
    expect(new Set(icons).size).toBe(icons.length);
    expect(CLASS_NAMES.filter((name) => namesIn('mdi', name).length === 0)).toEqual([]);
    expect(namesIn('openmoji', 'cat')).toEqual(CLASSES.cat);
  });

  it('are those of the network that is shipped, in its order', () => {
    expect(CLASS_NAMES).toEqual(architecture('resnet-scenes').labels);
  });

  it('are tested in a style that no training sees', () => {
    const seen: readonly string[] = SEEN_STYLES;
    expect(TEST_STYLES.filter((style) => seen.includes(style))).toEqual([]);
  });
});

describe('styles', () => {
  it('draw a black line around the motif, and fill it flat or white', () => {
    const pixels = disc(SPRITE, [200, 90, 20]);
    const pixel = (picture: Uint8ClampedArray, x: number, y: number) => [
      ...picture.subarray(4 * (y * SPRITE + x), 4 * (y * SPRITE + x) + 4),
    ];
    const [middle, edge] = [SPRITE / 2, Math.round(SPRITE * 0.95)];
    expect(pixel(lineArt(pixels), middle, middle)).toEqual([255, 255, 255, 255]);
    expect(pixel(drawn(pixels), middle, middle)).toEqual([170, 85, 0, 255]);
    for (const picture of [lineArt(pixels), drawn(pixels)]) {
      const [r = 255, g = 255, b = 255, alpha = 0] = pixel(picture, edge, middle);
      expect(Math.max(r, g, b)).toBeLessThan(64);
      expect(alpha).toBeGreaterThan(190);
      expect(pixel(picture, 1, 1)[3]).toBe(0);
    }
  });
});

describe('randomMatrix', () => {
  const grey = (matrix: readonly number[]) =>
    [0, 3, 6].map((row) => [0, 1, 2].reduce((sum, c) => sum + at(matrix, row + c), 0));

  it('keeps what is grey grey: only the brightness changes it', () => {
    for (let seed = 0; seed < 50; seed++) {
      const matrix = randomMatrix(new Random(seed), { hue: 0.5, saturation: 1, brightness: 0.4 });
      const [r = 0, g = 0, b = 0] = grey(matrix);
      expect(r).toBeGreaterThan(0.59);
      expect(r).toBeLessThan(1.41);
      expect([g, b]).toEqual([expect.closeTo(r, 9), expect.closeTo(r, 9)]);
    }
  });

  it('does nothing without jitter', () => {
    const matrix = randomMatrix(new Random(1), { hue: 0, saturation: 0, brightness: 0 });
    for (const [i, value] of matrix.entries()) expect(value).toBeCloseTo(i % 4 === 0 ? 1 : 0, 12);
  });
});

import { paintBackground } from './backgrounds.ts';
import { CLASS_NAMES } from './classes.ts';
import { type ColourJitter, type ColourMatrix, randomMatrix } from './colour.ts';
import { Random } from './random.ts';
import type { Artwork, Icon, Sprite } from './sprites.ts';
import { type Placement, randomDistortion, stamp } from './stamp.ts';

/** Side of a scene in pixels, where it is not drawn larger. */
export const SIZE = 96;
/** In `Scene.owners`: no object, and something that belongs to none of the classes. */
export const NOBODY = 0;
export const DISTRACTOR = 255;

export interface Scene {
  /** RGB, row by row. */
  readonly pixels: Uint8Array;
  /** The class of each object. */
  readonly objects: readonly number[];
  /** For each pixel whose it is: 1 for the first object, 2 for the second, ...; the masks of all objects in one. */
  readonly owners: Uint8Array;
}

export interface SceneOptions {
  readonly artwork: Artwork;
  readonly seed: number;
  /** The number of objects, or the weights of 1, 2, 3, ... */
  readonly objects: number | readonly number[];
  /** The probability of each of two distractors. */
  readonly distractors: number;
  /** Redraws icons and changes colours strongly, for training; else as the artist made them, in about their own colours. */
  readonly augment: boolean;
  /**
   * Of the first so many scenes some are easy, the later the fewer: one object alone, as its artist made it. A network
   * that sees nothing but crowded and recoloured scenes takes long to find out what to look for.
   */
  readonly easing?: number;
  /** Draws so many times as large, for people to look at. The artwork must be as large. */
  readonly scale?: number;
}

/** Sides of an object by the number of objects. */
const SIDES = [
  [52, 90],
  [42, 64],
  [32, 48],
  [28, 42],
] as const;
const DISTRACTOR_SIDES = [14, 30] as const;

const MILD: ColourJitter = { hue: 0.02, saturation: 0.15, brightness: 0.12 };
const SOME: ColourJitter = { hue: 0.06, saturation: 0.4, brightness: 0.25 };
const STRONG: ColourJitter = { hue: 0.5, saturation: 1, brightness: 0.4 };
/** Of training objects: how many keep their colours, more or less. */
const TRUE_COLOURS = 0.65;

/** Scene number `index` of a seed: always the same one, whatever was drawn before. */
export function drawScene(index: number, { easing = 0, scale = 1, ...given }: SceneOptions): Scene {
  const random = new Random(Math.imul(given.seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const isEasy = index < easing && random.chance(1 - index / easing);
  const options = isEasy ? { ...given, objects: 1, distractors: 0, augment: false } : given;
  const { augment } = options;
  const count = typeof options.objects === 'number' ? options.objects : random.weighted(options.objects) + 1;
  const objects = random.distinct(count, CLASS_NAMES.length);

  const size = SIZE * scale;
  const canvas = new Float32Array(3 * size * size);
  paintBackground(canvas, size, random);
  const owners = new Uint8Array(size * size);
  for (const { x, y, side, ...thing } of place(objects, options, random)) {
    const placement = { ...thing, x: x * scale, y: y * scale, side: side * scale };
    stamp({ canvas, owners, size }, placement, objectColours(random, augment), randomDistortion(random, augment));
  }
  if (augment) retouch(canvas, random);
  return { pixels: new Uint8Array(Uint8ClampedArray.from(canvas).buffer), objects, owners };
}

/** Distractors first, so that they lie behind; objects keep a distance that leaves most of each to be seen. */
function place(
  objects: readonly number[],
  { artwork, augment, distractors }: SceneOptions,
  random: Random,
): Placement[] {
  const [least, most] = SIDES[objects.length - 1] ?? SIDES[3];
  const placed: Placement[] = [];
  const behind = [0, 1].flatMap((): Placement[] => {
    if (!random.chance(distractors)) return [];
    const side = random.uniform(...DISTRACTOR_SIDES);
    const sprite = spriteOf(random.pick(artwork.distractors), random, augment);
    return [{ sprite, side, owner: DISTRACTOR, x: random.uniform(0, SIZE), y: random.uniform(0, SIZE) }];
  });
  for (const [i, object] of objects.entries()) {
    const side = random.uniform(least, most);
    const icon = random.pick(random.pick(artwork.classes[object] ?? []));
    const sprite = spriteOf(icon, random, augment);
    const inside = () => random.uniform(side * 0.4, SIZE - side * 0.4);
    let [x, y] = [inside(), inside()];
    const isFree = () => placed.every((other) => Math.hypot(x - other.x, y - other.y) > 0.36 * (side + other.side));
    for (let attempt = 0; attempt < 30 && !isFree(); attempt++) [x, y] = [inside(), inside()];
    placed.push({ sprite, x, y, side, owner: i + 1 });
  }
  return [...behind, ...placed];
}

function spriteOf(icon: Icon, random: Random, augment: boolean): Sprite {
  return augment ? icon.redrawn(random) : icon.original();
}

function objectColours(random: Random, augment: boolean): ColourMatrix {
  if (!augment) return randomMatrix(random, MILD);
  return randomMatrix(random, random.chance(TRUE_COLOURS) ? SOME : STRONG);
}

/** What happens to a picture as a whole: grey, more or less contrast, grain. */
function retouch(canvas: Float32Array, random: Random): void {
  const contrast = random.uniform(0.75, 1.25);
  const light = random.uniform(-20, 20);
  const grey = random.chance(0.04);
  const grain = random.chance(0.2) ? random.uniform(0, 20) : 0;
  for (let i = 0; i < canvas.length; i += 3) {
    const mean = ((canvas[i] ?? 0) + (canvas[i + 1] ?? 0) + (canvas[i + 2] ?? 0)) / 3;
    for (let c = i; c < i + 3; c++) {
      const value = grey ? mean : (canvas[c] ?? 0);
      canvas[c] = 128 + (value - 128) * contrast + light + (grain && random.uniform(-grain, grain));
    }
  }
}

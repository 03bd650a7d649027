import { paintBackground } from './backgrounds.ts';
import { CLASS_NAMES } from './classes.ts';
import { type ColourJitter, type ColourMatrix, randomMatrix } from './colour.ts';
import { Random } from './random.ts';
import type { Artwork, Icon, Sprite } from './sprites.ts';

/** Side of a scene in pixels. */
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
}

/** Sides of an object by the number of objects. */
const SIDES = [
  [44, 88],
  [34, 60],
  [28, 46],
  [26, 40],
] as const;
const DISTRACTOR_SIDES = [14, 30] as const;

const MILD: ColourJitter = { hue: 0.02, saturation: 0.15, brightness: 0.12 };
const STRONG: ColourJitter = { hue: 0.5, saturation: 1, brightness: 0.4 };
/** Of training objects: keep their colours, more or less; and are redrawn. */
const TRUE_COLOURS = 0.6;
const REDRAWN = 0.45;

interface Placement {
  readonly sprite: Sprite;
  readonly x: number;
  readonly y: number;
  readonly side: number;
  readonly owner: number;
}

/** Scene number `index` of a seed: always the same one, whatever was drawn before. */
export function drawScene(index: number, { easing = 0, ...given }: SceneOptions): Scene {
  const random = new Random(Math.imul(given.seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  const isEasy = index < easing && random.chance(1 - index / easing);
  const options = isEasy ? { ...given, objects: 1, distractors: 0, augment: false } : given;
  const { augment } = options;
  const count = typeof options.objects === 'number' ? options.objects : random.weighted(options.objects) + 1;
  const objects = random.distinct(count, CLASS_NAMES.length);

  const canvas = new Float32Array(3 * SIZE * SIZE);
  paintBackground(canvas, SIZE, random);
  const owners = new Uint8Array(SIZE * SIZE);
  for (const placement of place(objects, options, random)) {
    stamp(canvas, owners, placement, objectColours(random, augment), random);
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
    const sprite = spriteOf(random.pick(artwork.classes[object] ?? []), random, augment);
    const inside = () => random.uniform(side * 0.4, SIZE - side * 0.4);
    let [x, y] = [inside(), inside()];
    const isFree = () => placed.every((other) => Math.hypot(x - other.x, y - other.y) > 0.36 * (side + other.side));
    for (let attempt = 0; attempt < 30 && !isFree(); attempt++) [x, y] = [inside(), inside()];
    placed.push({ sprite, x, y, side, owner: i + 1 });
  }
  return [...behind, ...placed];
}

function spriteOf({ original, redrawn }: Icon, random: Random, augment: boolean): Sprite {
  return augment && random.chance(REDRAWN) ? random.pick(redrawn) : original;
}

function objectColours(random: Random, augment: boolean): ColourMatrix {
  return randomMatrix(random, augment && !random.chance(TRUE_COLOURS) ? STRONG : MILD);
}

/** Lays a sprite over the canvas, turned, mirrored and somewhat out of shape, with its colours changed. */
function stamp(
  canvas: Float32Array,
  owners: Uint8Array,
  { sprite, x: cx, y: cy, side, owner }: Placement,
  colours: ColourMatrix,
  random: Random,
): void {
  const angle = random.uniform(-0.45, 0.45);
  const stretch = random.uniform(0.85, 1.18);
  const mirror = random.chance(0.5) ? -1 : 1;
  // The smallest level that is at least as large as what it is to be.
  const level = sprite.levels.findLast(({ size }) => size >= side) ?? sprite.levels[0];
  if (!level) return;
  const { size, pixels } = level;
  const scale = size / side;
  const [cos, sin] = [Math.cos(angle) * scale, Math.sin(angle) * scale];
  const reach = Math.ceil(side * 0.85);
  const [m0 = 0, m1 = 0, m2 = 0, m3 = 0, m4 = 0, m5 = 0, m6 = 0, m7 = 0, m8 = 0] = colours;
  const [top, bottom] = [Math.max(0, Math.floor(cy - reach)), Math.min(SIZE, Math.ceil(cy + reach))];
  const [left, right] = [Math.max(0, Math.floor(cx - reach)), Math.min(SIZE, Math.ceil(cx + reach))];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const [dx, dy] = [x + 0.5 - cx, y + 0.5 - cy];
      const u = mirror * (cos * dx + sin * dy) * stretch + size / 2 - 0.5;
      const v = (cos * dy - sin * dx) / stretch + size / 2 - 0.5;
      const [u0, v0] = [Math.floor(u), Math.floor(v)];
      if (u0 < 0 || v0 < 0 || u0 >= size - 1 || v0 >= size - 1) continue;
      const [s, t] = [u - u0, v - v0];
      const at = 4 * (v0 * size + u0);
      const below = at + 4 * size;
      const [w00, w01, w10, w11] = [(1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t];
      const sample = (c: number) =>
        w00 * (pixels[at + c] ?? 0) +
        w01 * (pixels[at + 4 + c] ?? 0) +
        w10 * (pixels[below + c] ?? 0) +
        w11 * (pixels[below + 4 + c] ?? 0);
      const alpha = sample(3) / 255;
      if (alpha === 0) continue;
      const [r, g, b] = [sample(0), sample(1), sample(2)];
      const to = 3 * (y * SIZE + x);
      canvas[to] = (canvas[to] ?? 0) * (1 - alpha) + m0 * r + m1 * g + m2 * b;
      canvas[to + 1] = (canvas[to + 1] ?? 0) * (1 - alpha) + m3 * r + m4 * g + m5 * b;
      canvas[to + 2] = (canvas[to + 2] ?? 0) * (1 - alpha) + m6 * r + m7 * g + m8 * b;
      if (alpha > 0.5) owners[y * SIZE + x] = owner;
    }
  }
}

/** What happens to a picture as a whole: grey, more or less contrast, grain. */
function retouch(canvas: Float32Array, random: Random): void {
  const contrast = random.uniform(0.7, 1.3);
  const light = random.uniform(-25, 25);
  const grey = random.chance(0.1);
  const grain = random.chance(0.3) ? random.uniform(0, 25) : 0;
  for (let i = 0; i < canvas.length; i += 3) {
    const mean = ((canvas[i] ?? 0) + (canvas[i + 1] ?? 0) + (canvas[i + 2] ?? 0)) / 3;
    for (let c = i; c < i + 3; c++) {
      const value = grey ? mean : (canvas[c] ?? 0);
      canvas[c] = 128 + (value - 128) * contrast + light + (grain && random.uniform(-grain, grain));
    }
  }
}

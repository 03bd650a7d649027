import type { ColourMatrix } from './colour.ts';
import { type Level, sample } from './level.ts';
import type { Random } from './random.ts';
import type { Sprite } from './sprites.ts';

/** A picture in the making: RGB, 0 to 255, and for each pixel whose it is. Square. */
export interface Canvas {
  readonly canvas: Float32Array;
  readonly owners: Uint8Array;
  readonly size: number;
}

export interface Placement {
  readonly sprite: Sprite;
  /** The middle, in pixels. */
  readonly x: number;
  readonly y: number;
  readonly side: number;
  /** Written to `owners`. */
  readonly owner: number;
}

/** Turned by at most so many radians, and stretched by so much at most. */
const TURN = 0.45;
const STRETCH = 1.18;
/** Half the diagonal of a stretched sprite, in sides. */
const REACH = Math.SQRT1_2 * STRETCH;

/** Lays a sprite over the canvas, turned, mirrored and somewhat out of shape, with its colours changed. */
export function stamp(
  target: Canvas,
  { sprite, x: cx, y: cy, side, owner }: Placement,
  colours: ColourMatrix,
  random: Random,
): void {
  const { canvas, owners, size } = target;
  const angle = random.uniform(-TURN, TURN);
  const stretch = random.uniform(1 / STRETCH, STRETCH);
  const mirror = random.chance(0.5) ? -1 : 1;
  const level = levelFor(sprite, side);
  const [cos, sin] = [(Math.cos(angle) * level.size) / side, (Math.sin(angle) * level.size) / side];
  const middle = level.size / 2 - 0.5;
  const [left, right] = within(cx, side * REACH, size);
  const [top, bottom] = within(cy, side * REACH, size);
  const colour = new Float64Array(4);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const dx = x + 0.5 - cx;
      const dy = y + 0.5 - cy;
      sample(
        level,
        middle + mirror * (cos * dx + sin * dy) * stretch,
        middle + (cos * dy - sin * dx) / stretch,
        colour,
      );
      const [r = 0, g = 0, b = 0, alpha = 0] = colour;
      if (alpha === 0) continue;
      const pixel = y * size + x;
      for (let c = 0; c < 3; c++) {
        const changed = (colours[3 * c] ?? 0) * r + (colours[3 * c + 1] ?? 0) * g + (colours[3 * c + 2] ?? 0) * b;
        canvas[3 * pixel + c] = (canvas[3 * pixel + c] ?? 0) * (1 - alpha / 255) + changed;
      }
      if (alpha > 127) owners[pixel] = owner;
    }
  }
}

/** The smallest level that is at least as large as what it is to be. */
function levelFor({ levels }: Sprite, side: number): Level {
  const level = levels.findLast(({ size }) => size >= side) ?? levels[0];
  if (!level) throw new RangeError('a sprite has no pixels');
  return level;
}

/** The pixels from `middle - reach` to `middle + reach` that lie within the canvas. */
function within(middle: number, reach: number, size: number): [from: number, to: number] {
  return [Math.max(0, Math.floor(middle - reach)), Math.min(size, Math.ceil(middle + reach))];
}

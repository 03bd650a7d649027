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

/** How a sprite is out of shape. */
export interface Distortion {
  /** In radians. */
  readonly turn: number;
  /** Wider by this factor, and less high by it. */
  readonly stretch: number;
  /** Moved so far to the side for each side down. */
  readonly shear: number;
  readonly mirror: 1 | -1;
  /** Across and down: waves of such an amplitude, in sides, so many to a side, beginning at this angle. */
  readonly waves: readonly [Wave, Wave];
}

interface Wave {
  readonly amplitude: number;
  readonly frequency: number;
  readonly phase: number;
}

/** As artists differ in how they see a thing (`strong`), or about as it was drawn. */
export function randomDistortion(random: Random, strong: boolean): Distortion {
  const [turn, stretch, shear, amplitude] = strong ? [0.6, 1.45, 0.25, 0.055] : [0.45, 1.18, 0, 0];
  const wave = (): Wave => ({
    amplitude: amplitude && random.uniform(0, amplitude),
    frequency: amplitude && random.uniform(0.5, 1.5),
    phase: amplitude && random.uniform(0, 2 * Math.PI),
  });
  return {
    turn: random.uniform(-turn, turn),
    stretch: random.uniform(1 / stretch, stretch),
    shear: shear && random.uniform(-shear, shear),
    mirror: random.chance(0.5) ? -1 : 1,
    waves: [wave(), wave()],
  };
}

const displacement = ({ amplitude, frequency, phase }: Wave, at: number) =>
  amplitude * Math.sin(2 * Math.PI * frequency * at + phase);

/** Lays a sprite over the canvas, out of shape, with its colours changed. */
export function stamp(
  target: Canvas,
  { sprite, x: cx, y: cy, side, owner }: Placement,
  colours: ColourMatrix,
  { turn, stretch, shear, mirror, waves: [across, down] }: Distortion,
): void {
  const { canvas, owners, size } = target;
  const level = levelFor(sprite, side);
  const [cos, sin] = [Math.cos(turn) / side, Math.sin(turn) / side];
  const middle = level.size / 2 - 0.5;
  // Half the diagonal, and what waves add to it.
  const reach =
    side *
    (Math.SQRT1_2 * Math.max(stretch, 1 / stretch) * (1 + Math.abs(shear) / 2) + across.amplitude + down.amplitude);
  const [left, right] = within(cx, reach, size);
  const [top, bottom] = within(cy, reach, size);
  const colour = new Float64Array(4);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const dx = x + 0.5 - cx;
      const dy = y + 0.5 - cy;
      // In sides of the sprite, from its middle.
      const v = (cos * dy - sin * dx) / stretch;
      const u = mirror * (cos * dx + sin * dy) * stretch + shear * v;
      sample(
        level,
        middle + level.size * (u + displacement(across, v)),
        middle + level.size * (v + displacement(down, u)),
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

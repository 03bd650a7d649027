import type { Random } from './random.ts';

/** A linear change of colour: the rows of a 3 x 3 matrix. It suits premultiplied colours, and leaves black black. */
export type ColourMatrix = readonly number[];

const GREY = [0.299, 0.587, 0.114];

/** How far colours may change: hue in turns, saturation and brightness as factors around 1. */
export interface ColourJitter {
  readonly hue: number;
  readonly saturation: number;
  readonly brightness: number;
}

/** Hue turned about the grey axis, then saturation and brightness. */
export function randomMatrix(random: Random, { hue, saturation, brightness }: ColourJitter): ColourMatrix {
  const angle = 2 * Math.PI * random.uniform(-hue, hue);
  const light = random.uniform(1 - brightness, 1 + brightness);
  const colourful = Math.max(0, random.uniform(1 - saturation, 1 + saturation));
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return Array.from({ length: 9 }, (_, i) => {
    const [row, column] = [Math.floor(i / 3), i % 3];
    // Rodrigues' rotation about (1, 1, 1): sin / sqrt 3 off the diagonal, with the sign of the permutation.
    const turn = row === column ? 0 : ((column - row + 3) % 3 === 1 ? -1 : 1) * (sin / Math.sqrt(3));
    const rotated = (row === column ? cos : 0) + (1 - cos) / 3 + turn;
    return light * (colourful * rotated + (1 - colourful) * (GREY[column] ?? 0));
  });
}

/** Any colour, 0 to 255 each. */
export function randomColour(random: Random): number[] {
  return [random.uniform(0, 255), random.uniform(0, 255), random.uniform(0, 255)];
}

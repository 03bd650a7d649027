import { randomColour } from './colour.ts';
import type { Random } from './random.ts';

/** Draws a background into RGB pixels (floats from 0 to 255), size x size. */
type Background = (pixels: Float32Array, size: number, random: Random) => void;

/** Kinds of background by weight. */
const KINDS: readonly (readonly [weight: number, Background])[] = [
  [2, (pixels, size, random) => blend(pixels, size, random, () => 0)],
  [2, (pixels, size, random) => blend(pixels, size, random, ramp(size, random))],
  [4, (pixels, size, random) => blend(pixels, size, random, clouds(size, random))],
  [1.5, (pixels, size, random) => blend(pixels, size, random, stripes(random))],
  [1, (pixels, size, random) => blend(pixels, size, random, checks(random))],
  [1.5, (pixels, size, random) => blend(pixels, size, random, discs(size, random))],
];

/** Any background: a colour, a gradient, clouds, stripes, checks or discs, with more or less grain. */
export function paintBackground(pixels: Float32Array, size: number, random: Random): void {
  const [, paint] = KINDS[random.weighted(KINDS.map(([weight]) => weight))] ?? [];
  paint?.(pixels, size, random);
  const grain = random.chance(0.4) ? random.uniform(0, 30) : 0;
  if (grain > 0) for (let i = 0; i < pixels.length; i++) pixels[i] = (pixels[i] ?? 0) + random.uniform(-grain, grain);
}

/** Where a pixel lies between two colours, 0 to 1. */
type Pattern = (x: number, y: number) => number;

function blend(pixels: Float32Array, size: number, random: Random, pattern: Pattern): void {
  const from = randomColour(random);
  // Half the time the second colour is near the first.
  const near = random.chance(0.5);
  const to = near ? from.map((value) => value + random.uniform(-60, 60)) : randomColour(random);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const share = pattern(x, y);
      for (let c = 0; c < 3; c++) pixels[3 * (y * size + x) + c] = (1 - share) * (from[c] ?? 0) + share * (to[c] ?? 0);
    }
  }
}

function ramp(size: number, random: Random): Pattern {
  const angle = random.uniform(0, 2 * Math.PI);
  const [dx, dy] = [Math.cos(angle) / size, Math.sin(angle) / size];
  return (x, y) => Math.min(1, Math.max(0, 0.5 + (x - size / 2) * dx + (y - size / 2) * dy));
}

/** Value noise: random numbers on grids of two or three sizes, smoothly between them. */
function clouds(size: number, random: Random): Pattern {
  const octaves = [4, 9, 20].map((cells, i) => ({
    cells,
    weight: random.uniform(0.2, 1) / (i + 1),
    grid: Float32Array.from({ length: (cells + 1) ** 2 }, () => random.uniform()),
  }));
  const total = octaves.reduce((sum, { weight }) => sum + weight, 0);
  return (x, y) => {
    let value = 0;
    for (const { cells, weight, grid } of octaves) {
      const [u, v] = [(x / size) * cells, (y / size) * cells];
      const at = Math.floor(v) * (cells + 1) + Math.floor(u);
      const [s, t] = [u % 1, v % 1];
      const above = (1 - s) * (grid[at] ?? 0) + s * (grid[at + 1] ?? 0);
      const below = (1 - s) * (grid[at + cells + 1] ?? 0) + s * (grid[at + cells + 2] ?? 0);
      value += weight * ((1 - t) * above + t * below);
    }
    return value / total;
  };
}

function stripes(random: Random): Pattern {
  const angle = random.uniform(0, Math.PI);
  const period = random.uniform(4, 24);
  const [dx, dy] = [Math.cos(angle) / period, Math.sin(angle) / period];
  return (x, y) => (Math.floor(x * dx + y * dy) % 2 === 0 ? 0 : 1);
}

function checks(random: Random): Pattern {
  const cell = random.uniform(5, 20);
  return (x, y) => (Math.floor(x / cell) + Math.floor(y / cell)) % 2;
}

function discs(size: number, random: Random): Pattern {
  const all = Array.from({ length: 3 + random.below(12) }, () => ({
    x: random.uniform(0, size),
    y: random.uniform(0, size),
    radius: random.uniform(3, size / 5),
    shade: random.uniform(),
  }));
  return (x, y) => all.find((disc) => Math.hypot(x - disc.x, y - disc.y) < disc.radius)?.shade ?? 0;
}

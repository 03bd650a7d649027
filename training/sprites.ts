import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { CLASSES, DISTRACTORS, type Style } from './classes.ts';
import { halve, type Level, sample } from './level.ts';
import { drawn, lineArt } from './styles.ts';

/** What is used of @resvg/resvg-js; typed here, so that the project compiles without this folder's packages. */
interface Rasteriser {
  readonly Resvg: new (
    svg: string,
    options: { readonly fitTo: { readonly mode: 'width'; readonly value: number } },
  ) => { render(): { readonly pixels: Uint8Array } };
}

/** A picture at several sizes, each half the one before. */
export interface Sprite {
  readonly levels: readonly Level[];
}

/** As its artist made it, and redrawn. */
const MANNERS = { original: (pixels: Uint8ClampedArray) => pixels, drawn, lineArt };
export type Manner = keyof typeof MANNERS;

export interface Icon {
  sprite(manner: Manner): Sprite;
}

export interface Artwork {
  /** For each class its icons in all styles, those of one motif together. */
  readonly classes: readonly (readonly Icon[])[];
  readonly distractors: readonly Icon[];
}

interface IconSet {
  readonly width?: number;
  readonly height?: number;
  readonly icons: Readonly<
    Record<string, { readonly body: string; readonly width?: number; readonly height?: number }>
  >;
  readonly aliases?: Readonly<Record<string, { readonly parent: string }>>;
}

/** What an icon is first rasterised to. */
const RASTER = 144;
/** Side of a sprite, and the margin around its motif, where an outline has room. */
const SPRITE = 96;
const MARGIN = 5;
/** Alpha below which a pixel does not count. */
const FAINT = 8;

const require = createRequire(import.meta.url);

/** The icons of these styles that the scenes need; each is rasterised when it first appears. */
export function loadArtwork(styles: readonly Style[]): Artwork {
  const sets = styles.map(
    (style): IconSet => JSON.parse(readFileSync(require.resolve(`@iconify-json/${style}/icons.json`), 'utf8')),
  );
  const icons = (name: string) =>
    sets.flatMap((set) => {
      const svg = svgOf(set, name);
      return svg ? [iconOf(svg)] : [];
    });
  return {
    classes: Object.values(CLASSES).map((names) => names.flatMap(icons)),
    distractors: DISTRACTORS.flatMap(icons),
  };
}

function svgOf(set: IconSet, name: string): string | undefined {
  const icon = set.icons[name] ?? set.icons[set.aliases?.[name]?.parent ?? ''];
  if (!icon) return undefined;
  const { width = set.width ?? 16, height = set.height ?? 16, body } = icon;
  const side = Math.max(width, height);
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${side} ${side}">${body}</svg>`;
}

function iconOf(svg: string): Icon {
  let motif: Uint8ClampedArray | undefined;
  const sprites = new Map<Manner, Sprite>();
  return {
    sprite(manner) {
      motif ??= rasterise(svg);
      const sprite = sprites.get(manner) ?? spriteOf(MANNERS[manner](motif));
      sprites.set(manner, sprite);
      return sprite;
    },
  };
}

function rasterise(svg: string): Uint8ClampedArray {
  const { Resvg }: Rasteriser = require('@resvg/resvg-js');
  const { pixels } = new Resvg(svg, { fitTo: { mode: 'width', value: RASTER } }).render();
  return fit({ size: RASTER, pixels: new Uint8ClampedArray(pixels) });
}

/** The motif without the empty space around it, in the middle of a sprite and as large as fits. */
function fit(level: Level): Uint8ClampedArray {
  const { left, top, right, bottom } = motifOf(level);
  const scale = Math.max(right - left, bottom - top) / (SPRITE - 2 * MARGIN);
  const along = (from: number, to: number, i: number) => (from + to) / 2 + (i + 0.5 - SPRITE / 2) * scale - 0.5;
  const result = new Uint8ClampedArray(4 * SPRITE * SPRITE);
  const colour = new Float64Array(4);
  for (let y = 0; y < SPRITE; y++) {
    for (let x = 0; x < SPRITE; x++) {
      sample(level, along(left, right, x), along(top, bottom, y), colour);
      result.set(colour, 4 * (y * SPRITE + x));
    }
  }
  return result;
}

/** The smallest rectangle around everything that is not quite transparent. */
function motifOf({ size, pixels }: Level) {
  let [left, top, right, bottom] = [size, size, 0, 0];
  for (let i = 0; i < size * size; i++) {
    if ((pixels[4 * i + 3] ?? 0) < FAINT) continue;
    const [x, y] = [i % size, Math.floor(i / size)];
    left = Math.min(left, x);
    right = Math.max(right, x + 1);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y + 1);
  }
  return { left, top, right, bottom };
}

function spriteOf(pixels: Uint8ClampedArray): Sprite {
  const half = halve({ size: SPRITE, pixels });
  return { levels: [{ size: SPRITE, pixels }, half, halve(half)] };
}

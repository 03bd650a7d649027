import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { CLASS_NAMES, DISTRACTORS, namesIn, type Style } from './classes.ts';
import { halve, type Level, sample } from './level.ts';
import { Random } from './random.ts';
import { colouredIn, drawn, lineArt, recolour } from './styles.ts';

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

/** How an icon is drawn: a black line around each of its shapes (in sides of the icon), other colours, and what is done to its pixels. */
interface Manner {
  readonly weight: number;
  readonly line?: number;
  readonly recoloured?: boolean;
  readonly redraw?: (pixels: Uint8ClampedArray, random: Random) => Uint8ClampedArray;
}

/** As its artist made it. */
const ORIGINAL: Manner = { weight: 0.3 };
const FINE = 0.018;
const BOLD = 0.034;

const MANNERS: readonly Manner[] = [
  ORIGINAL,
  { weight: 0.16, line: FINE },
  { weight: 0.12, line: BOLD },
  { weight: 0.08, recoloured: true },
  { weight: 0.1, recoloured: true, line: FINE },
  { weight: 0.08, recoloured: true, line: BOLD },
  { weight: 0.11, redraw: drawn },
  { weight: 0.05, redraw: lineArt },
];
/** Of icons of one colour. They are lines already, or close to it. */
const MANNERS_OF_ONE_COLOUR: readonly Manner[] = [{ weight: 0.15 }, { weight: 0.85, redraw: colouredIn }];
/** Drawings of each manner that has something to choose. */
const DRAWINGS = 4;

export interface Icon {
  /** As its artist made it. */
  original(): Sprite;
  /** In some other manner, or in that one. */
  redrawn(random: Random): Sprite;
}

export interface Artwork {
  /** For each class and each set that has it, its icons. */
  readonly classes: readonly (readonly (readonly Icon[])[])[];
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

/**
 * The icons of these styles that the scenes need; each is rasterised when it first appears.
 * @param scale of the scenes that they are for
 */
export function loadArtwork(styles: readonly Style[], scale = 1): Artwork {
  const sets = styles.map((style) => ({ style, set: readSet(style) }));
  const icons = (set: IconSet, names: readonly string[]) =>
    names.flatMap((name) => {
      const svg = svgOf(set, name);
      return svg ? [iconOf(svg, scale)] : [];
    });
  return {
    classes: CLASS_NAMES.map((name) =>
      sets.map(({ style, set }) => icons(set, namesIn(style, name))).filter(({ length }) => length > 0),
    ),
    distractors: sets.flatMap(({ set }) => icons(set, DISTRACTORS)),
  };
}

function readSet(style: Style): IconSet {
  return JSON.parse(readFileSync(require.resolve(`@iconify-json/${style}/icons.json`), 'utf8'));
}

interface Svg {
  readonly side: number;
  readonly body: string;
}

function svgOf(set: IconSet, name: string): Svg | undefined {
  const icon = set.icons[name] ?? set.icons[set.aliases?.[name]?.parent ?? ''];
  if (!icon) return undefined;
  const { width = set.width ?? 16, height = set.height ?? 16, body } = icon;
  return { side: Math.max(width, height), body };
}

/** Shapes without a stroke of their own inherit the line, and what reaches over the edge of the icon has room. */
function textOf({ side, body }: Svg, line: number): string {
  const [from, size] = [-line * side, (1 + 2 * line) * side];
  const stroke = line > 0 ? ` stroke="#000" stroke-width="${line * side}" stroke-linejoin="round"` : '';
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${from} ${from} ${size} ${size}"><g${stroke}>${body}</g></svg>`;
}

function iconOf(svg: Svg, scale: number): Icon {
  const manners = svg.body.includes('currentColor') ? MANNERS_OF_ONE_COLOUR : MANNERS;
  const sprites = new Map<string, Sprite>();
  // The same drawing whenever it is made.
  const draw = ({ line = 0, recoloured = false, redraw }: Manner, drawing: number) => {
    const random = new Random(svg.body.length + drawing);
    const body = recoloured ? recolour(svg.body, random) : svg.body;
    const pixels = rasterise(textOf({ ...svg, body }, line), scale);
    return spriteOf(redraw ? redraw(pixels, random) : pixels, scale);
  };
  const sprite = (manner: Manner, drawing: number) => {
    const key = `${manners.indexOf(manner)} ${drawing}`;
    const known = sprites.get(key) ?? draw(manner, drawing);
    sprites.set(key, known);
    return known;
  };
  return {
    original: () => sprite(ORIGINAL, 0),
    redrawn(random) {
      const manner = manners[random.weighted(manners.map(({ weight }) => weight))] ?? ORIGINAL;
      return sprite(manner, manner.recoloured || manner.redraw === colouredIn ? random.below(DRAWINGS) : 0);
    },
  };
}

function rasterise(svg: string, scale: number): Uint8ClampedArray {
  const { Resvg }: Rasteriser = require('@resvg/resvg-js');
  const { pixels } = new Resvg(svg, { fitTo: { mode: 'width', value: RASTER * scale } }).render();
  return fit({ size: RASTER * scale, pixels: new Uint8ClampedArray(pixels) }, SPRITE * scale, MARGIN * scale);
}

/** The motif without the empty space around it, in the middle of a sprite and as large as fits. */
function fit(level: Level, size: number, margin: number): Uint8ClampedArray {
  const { left, top, right, bottom } = motifOf(level);
  const scale = Math.max(right - left, bottom - top) / (size - 2 * margin);
  const along = (from: number, to: number, i: number) => (from + to) / 2 + (i + 0.5 - size / 2) * scale - 0.5;
  const result = new Uint8ClampedArray(4 * size * size);
  const colour = new Float64Array(4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      sample(level, along(left, right, x), along(top, bottom, y), colour);
      result.set(colour, 4 * (y * size + x));
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

function spriteOf(pixels: Uint8ClampedArray, scale: number): Sprite {
  const whole = { size: SPRITE * scale, pixels };
  const half = halve(whole);
  return { levels: [whole, half, halve(half)] };
}

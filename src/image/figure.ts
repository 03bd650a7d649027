import { UsageError } from '../errors.ts';
import { mix, viridis } from './colour.ts';
import { type Drawing, drawing, place, rasterise, type Shape } from './drawing.ts';
import { LINE_HEIGHT } from './glyphs.ts';
import type { Rgb, RgbImage } from './image.ts';
import { measureText, shortenText, wrapText } from './text.ts';

/** A class in a legend. */
export interface LegendClass {
  readonly name: string;
  /** In [0, 1]. */
  readonly probability: number;
  readonly colour: Rgb;
}

/** What a legend says. */
export interface LegendOptions {
  readonly title?: string;
  readonly classes?: readonly LegendClass[];
  /** The scale of the colours, or several; a text stands for viridis from 0 to 1. Without it there is no bar. */
  readonly colourBar?: string | ColourBar | readonly ColourBar[];
}

/** A bar of colours with numbers below it, from 0 to `maximum`. */
export interface ColourBar {
  readonly text: string;
  /** The value at the right end; default 1. */
  readonly maximum?: number;
  /** One ramp from grey to each of these hues, in place of viridis. */
  readonly hues?: readonly Rgb[];
}

/** One picture of a contact sheet. */
export interface SheetTile {
  readonly title: string;
  /** A second paragraph of the caption: a probability, say. */
  readonly detail?: string;
  readonly image: RgbImage;
  /** A swatch beside the title: the colour that the class has in the fused picture. */
  readonly colour?: Rgb;
}

/** The pictures of a contact sheet; all are of the photograph's size. */
export interface ContactSheet {
  readonly title?: string;
  readonly photo: RgbImage;
  /** The fused picture; left out on a sheet of single classes. */
  readonly fused?: RgbImage;
  /** Its caption; `FM-G-CAM` when left out. */
  readonly fusedTitle?: string;
  /** One picture per class. */
  readonly singles: readonly SheetTile[];
  readonly legend?: LegendOptions;
}

const MARGIN = 24;
const GAP = 16;
const SWATCH = 12;
const SWATCH_GAP = 8;
const BAR = { width: 200, height: 14, tick: 4 };
const GREY: Rgb = [70, 70, 70];
/** What stands for the photograph below a hue. */
const PHOTO_GREY: Rgb = [150, 150, 150];
/** How many colours a ramp is made of. */
const RAMP_COLOURS = 33;
/** Room for the seven pictures of the top five classes in one row, up to 16:9. */
const SHEET_WIDTH = 2400;
/** The side of a square photograph on the sheet; others have its area, with no side longer than LONGEST_SIDE. */
const TILE_SIDE = 240;
const LONGEST_SIDE = 400;
/** Room for captions under narrow photographs. */
const MIN_CELL = 176;
const TITLE_LINES = 2;
/** The longer side of a picture with a legend, at least. */
const MIN_PICTURE = 320;

/**
 * A probability in [0, 1] as per cent, with as many digits as tell it from 0 and from 1: 93.6 %, 0.0012 %, 99.998 %.
 * @throws UsageError if it is not a probability.
 */
export function formatPercent(probability: number): string {
  if (!(probability >= 0 && probability <= 1)) {
    throw new UsageError(`the probability is ${probability}; give a number from 0 to 1`);
  }
  const percent = 100 * probability;
  if (percent === 0 || percent === 100) return `${percent} %`;
  if (percent < 1e-4) return `${percent.toExponential(1)} %`;
  // Two digits of what is close to 0, one digit of the distance to 100.
  const decimals = Math.max(1, 1 - Math.floor(Math.log10(percent)), -Math.floor(Math.log10(100 - percent)));
  return `${percent.toFixed(decimals)} %`;
}

/**
 * A strip of `width` pixels: title, one line per class (swatch, name, probability), and colour bars, which stand to the
 * right of the classes if there is room, else below. Names that are too long are shortened.
 */
export function legend(options: LegendOptions, width: number): RgbImage {
  return rasterise(drawLegend(options, width));
}

/** The picture with its legend below it; it keeps its pixels, but one too small for text is enlarged. */
export function withLegend(picture: RgbImage, options: LegendOptions): RgbImage {
  return rasterise(drawWithLegend(picture, options));
}

/** The image, brought to a size that text goes with, on white with lines of text below it; long lines are wrapped. */
export function captioned(image: RgbImage, lines: readonly string[]): RgbImage {
  const shown = toTile(image);
  const width = cellWidth(shown);
  const wrapped = lines.flatMap((line) => wrapText(line, width));
  return rasterise(stack([captionedTile(shown, wrapped, width, wrapped.length)]));
}

/**
 * The figure of the paper (its figures 5 and 7): photograph, FM-G-CAM, then the map of each class, side by side, in as
 * many rows as are needed, each with a caption; below them the legend. Small photographs are enlarged and large ones
 * reduced, so that the text has the same size on every sheet.
 * @throws UsageError if the pictures differ in size.
 */
export function contactSheet(sheet: ContactSheet): RgbImage {
  return rasterise(drawContactSheet(sheet));
}

/** `legend` as a drawing. */
export function drawLegend({ title, classes = [], colourBar = [] }: LegendOptions, width: number): Drawing {
  const bars = typeof colourBar === 'string' ? [{ text: colourBar }] : [colourBar].flat();
  const list = classes.length > 0 ? [classList(classes, width)] : [];
  const parts = flow([...list, ...bars.map((bar) => drawColourBar(bar, width))], width);
  if (title === undefined) return parts;
  const top = LINE_HEIGHT + SWATCH_GAP;
  const heading: Shape = { kind: 'text', text: shortenText(title, width, 'bold'), x: 0, y: 0, face: 'bold' };
  return drawing(width, top + parts.height, [heading, ...place(parts, 0, top)]);
}

/** The parts from left to right, in as many rows as are needed. */
function flow(parts: readonly Drawing[], width: number): Drawing {
  const shapes: Shape[] = [];
  let [x, y, bottom] = [0, 0, 0];
  for (const part of parts) {
    if (x > 0 && x + part.width > width) [x, y] = [0, bottom + GAP];
    shapes.push(...place(part, x, y));
    x += part.width + 2 * MARGIN;
    bottom = Math.max(bottom, y + part.height);
  }
  return drawing(width, bottom, shapes);
}

function classList(classes: readonly LegendClass[], width: number): Drawing {
  const percents = classes.map(({ probability }) => formatPercent(probability));
  const percentWidth = widest(percents);
  const textX = SWATCH + SWATCH_GAP;
  const nameRoom = Math.max(0, width - textX - GAP - percentWidth);
  const names = classes.map(({ name }) => shortenText(name, nameRoom));
  const listWidth = Math.min(width, textX + widest(names) + GAP + percentWidth);
  const lines = classes.flatMap(({ colour }, i): Shape[] => {
    const y = i * LINE_HEIGHT;
    const percent = percents[i] ?? '';
    return [
      swatch(0, y, colour),
      { kind: 'text', text: names[i] ?? '', x: textX, y },
      { kind: 'text', text: percent, x: listWidth - measureText(percent).width, y },
    ];
  });
  return drawing(listWidth, classes.length * LINE_HEIGHT, lines);
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => measureText(text).width));
}

function swatch(x: number, lineY: number, colour: Rgb): Shape {
  return { kind: 'rectangle', x, y: lineY + 3, width: SWATCH, height: SWATCH, colour };
}

/** Its text, the bar, and numbers below it. */
function drawColourBar({ text, maximum = 1, hues }: ColourBar, maxWidth: number): Drawing {
  const ticks = [0, 0.5, 1].map((fraction) => ({
    fraction,
    number: String(Number((fraction * maximum).toPrecision(3))),
  }));
  const halfNumber = Math.ceil(widest(ticks.map(({ number }) => number)) / 2); // half a number stands out at either end
  const barWidth = Math.min(BAR.width, maxWidth - 2 * halfNumber);
  const label = shortenText(text, maxWidth);
  const width = Math.max(measureText(label).width, barWidth + 2 * halfNumber);
  const ramps = hues ? hues.map((hue) => ramp((value) => mix(PHOTO_GREY, hue, value))) : [ramp(viridis)];
  const barY = LINE_HEIGHT + 2;
  const rampHeight = hues ? BAR.height / 2 : BAR.height;
  const bottom = barY + ramps.length * rampHeight;
  const numbersY = bottom + BAR.tick;
  return drawing(width, numbersY + LINE_HEIGHT, [
    { kind: 'text', text: label, x: 0, y: 0 },
    ...ramps.map(
      (colours, i): Shape => ({
        ...{ kind: 'ramp', colours, x: halfNumber, y: barY + i * rampHeight },
        ...{ width: barWidth, height: rampHeight },
      }),
    ),
    ...ticks.flatMap(({ fraction, number }): Shape[] => {
      const x = halfNumber + Math.round(fraction * (barWidth - 1));
      return [
        { kind: 'rectangle', x, y: bottom, width: 1, height: BAR.tick, colour: GREY },
        { kind: 'text', text: number, x: x - measureText(number).width / 2, y: numbersY, colour: GREY },
      ];
    }),
  ]);
}

function ramp(colour: (value: number) => Rgb): Rgb[] {
  return Array.from({ length: RAMP_COLOURS }, (_, i) => colour(i / (RAMP_COLOURS - 1)));
}

/** `withLegend` as a drawing. */
export function drawWithLegend(picture: RgbImage, options: LegendOptions): Drawing {
  const scale = Math.max(1, Math.ceil(MIN_PICTURE / Math.max(picture.width, picture.height)));
  const shown = pictureOf(picture, picture.width * scale, picture.height * scale);
  return stack([shown, drawLegend(options, Math.max(shown.width, MIN_PICTURE))]);
}

/** `contactSheet` as a drawing. */
export function drawContactSheet(sheet: ContactSheet): Drawing {
  const { photo, fused, fusedTitle = 'FM-G-CAM', singles } = sheet;
  const all: SheetTile[] = [
    { title: 'Photo', image: photo },
    ...(fused ? [{ title: fusedTitle, image: fused }] : []),
    ...singles,
  ];
  for (const { width, height } of all.map(({ image }) => image)) {
    if (width !== photo.width || height !== photo.height) {
      throw new UsageError(
        `a picture is ${width}x${height} and the photograph ${photo.width}x${photo.height}; use one size`,
      );
    }
  }
  const grid = tileGrid(captionedTiles(all));
  const heading = sheet.title === undefined ? drawing(0, 0) : drawLegend({ title: sheet.title }, grid.width);
  const parts = [heading, grid, sheet.legend ? drawLegend(sheet.legend, grid.width) : drawing(0, 0)];
  return stack(parts.filter(({ height }) => height > 0));
}

/** Tiles with their captions below them, all of one size. */
function captionedTiles(tiles: readonly SheetTile[]): Drawing[] {
  const shown = tiles.map(({ image }) => toTile(image));
  const width = Math.max(...shown.map(cellWidth));
  const captions = tiles.map((tile) => captionLines(tile, width));
  const mostLines = Math.max(...captions.map((lines) => lines.length));
  return shown.map((image, i) => captionedTile(image, captions[i] ?? [], width, mostLines, tiles[i]?.colour));
}

function captionLines({ title, detail, colour }: SheetTile, width: number): string[] {
  const room = width - indentOf(colour);
  return [...wrapText(title, room, TITLE_LINES), ...(detail === undefined ? [] : [shortenText(detail, room)])];
}

function indentOf(colour: Rgb | undefined): number {
  return colour ? SWATCH + SWATCH_GAP : 0;
}

/** The image centred above lines of text, in a cell with room for `lineCount` lines; the swatch is before the text. */
function captionedTile(
  image: Drawing,
  lines: readonly string[],
  width: number,
  lineCount: number,
  colour?: Rgb,
): Drawing {
  const textHeight = lineCount > 0 ? SWATCH_GAP + lineCount * LINE_HEIGHT : 0;
  const indent = indentOf(colour);
  const top = image.height + SWATCH_GAP;
  const texts = centredLines(lines, indent, top, width - indent);
  const textX = texts[0]?.x ?? indent;
  return drawing(width, image.height + textHeight, [
    ...place(image, Math.floor((width - image.width) / 2), 0),
    ...texts,
    ...(colour ? [swatch(textX - indent, top, colour)] : []),
  ]);
}

/** Lines of text centred in a column. */
function centredLines(lines: readonly string[], x: number, y: number, width: number): Shape[] {
  return lines.map((text, i) => ({
    ...{ kind: 'text', text, y: y + i * LINE_HEIGHT },
    x: x + Math.floor((width - measureText(text).width) / 2),
  }));
}

/** Tiles of one size in rows of equal length (but for the last), as few as fit into SHEET_WIDTH. */
function tileGrid(tiles: readonly Drawing[]): Drawing {
  const { width = 0, height = 0 } = tiles[0] ?? {};
  const mostColumns = Math.max(2, Math.floor((SHEET_WIDTH - 2 * MARGIN + GAP) / (width + GAP)));
  const rows = Math.ceil(tiles.length / mostColumns);
  const columns = Math.ceil(tiles.length / rows);
  const shapes = tiles.flatMap((tile, i) =>
    place(tile, (i % columns) * (width + GAP), Math.floor(i / columns) * (height + GAP)),
  );
  return drawing(columns * (width + GAP) - GAP, rows * (height + GAP) - GAP, shapes);
}

/** The parts one below the other, with margins. */
function stack(parts: readonly Drawing[]): Drawing {
  const width = Math.max(...parts.map((part) => part.width));
  const shapes: Shape[] = [];
  let y = MARGIN;
  for (const part of parts) {
    shapes.push(...place(part, MARGIN, y));
    y += part.height + GAP;
  }
  return drawing(width + 2 * MARGIN, y - GAP + MARGIN, shapes);
}

/** The image at the size it has on a sheet. */
function toTile(image: RgbImage): Drawing {
  const { width, height } = image;
  const scale = Math.min(TILE_SIDE / Math.sqrt(width * height), LONGEST_SIDE / Math.max(width, height));
  return pictureOf(image, scaled(width, scale), scaled(height, scale));
}

function pictureOf(image: RgbImage, width: number, height: number): Drawing {
  return drawing(width, height, [{ kind: 'image', image, x: 0, y: 0, width, height }]);
}

function scaled(size: number, scale: number): number {
  return Math.max(1, Math.round(size * scale));
}

function cellWidth(tile: Drawing): number {
  return Math.max(tile.width, MIN_CELL);
}

import { UsageError } from '../errors.ts';
import { canvas, paintImage, paintRectangle } from './canvas.ts';
import { viridis } from './colour.ts';
import { LINE_HEIGHT } from './glyphs.ts';
import type { Rgb, RgbImage } from './image.ts';
import { resize } from './resample.ts';
import { measureText, paintText, shortenText, wrapText } from './text.ts';

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
  /** The text above a bar of viridis from 0 to 1; without it there is no bar. */
  readonly colourBar?: string;
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
 * A strip of `width` pixels: title, one line per class (swatch, name, probability), and a colour bar, which stands to the
 * right of the classes if there is room, else below. Names that are too long are shortened.
 */
export function legend(options: LegendOptions, width: number): RgbImage {
  const classes = classList(options.classes ?? [], width);
  const bar = options.colourBar === undefined ? canvas(0, 0) : colourBar(options.colourBar, width);
  const beside = classes.width > 0 && classes.width + 2 * MARGIN + bar.width <= width;
  const [barX, barY] = beside ? [classes.width + 2 * MARGIN, 0] : [0, classes.height > 0 ? classes.height + GAP : 0];
  const top = options.title === undefined ? 0 : LINE_HEIGHT + SWATCH_GAP;
  const bottom = bar.height > 0 ? barY + bar.height : 0;
  const strip = canvas(width, top + Math.max(classes.height, bottom));
  if (options.title !== undefined) {
    paintText(strip, shortenText(options.title, width, 'bold'), 0, 0, { face: 'bold' });
  }
  paintImage(strip, classes, 0, top);
  paintImage(strip, bar, barX, top + barY);
  return strip;
}

function classList(classes: readonly LegendClass[], width: number): RgbImage {
  const percents = classes.map(({ probability }) => formatPercent(probability));
  const percentWidth = widest(percents);
  const textX = SWATCH + SWATCH_GAP;
  const nameRoom = Math.max(0, width - textX - GAP - percentWidth);
  const names = classes.map(({ name }) => shortenText(name, nameRoom));
  const listWidth = classes.length === 0 ? 0 : Math.min(width, textX + widest(names) + GAP + percentWidth);
  const list = canvas(listWidth, classes.length * LINE_HEIGHT);
  classes.forEach(({ colour }, i) => {
    const y = i * LINE_HEIGHT;
    const percent = percents[i] ?? '';
    paintSwatch(list, 0, y, colour);
    paintText(list, names[i] ?? '', textX, y);
    paintText(list, percent, listWidth - measureText(percent).width, y);
  });
  return list;
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => measureText(text).width));
}

function paintSwatch(target: RgbImage, x: number, lineY: number, colour: Rgb): void {
  paintRectangle(target, { x, y: lineY + 3, width: SWATCH, height: SWATCH }, colour);
}

/** Its text, the bar, and numbers below it. */
function colourBar(text: string, maxWidth: number): RgbImage {
  const halfNumber = Math.ceil(measureText('0.5').width / 2); // half a number stands out at either end
  const barWidth = Math.min(BAR.width, maxWidth - 2 * halfNumber);
  const label = shortenText(text, maxWidth);
  const width = Math.max(measureText(label).width, barWidth + 2 * halfNumber);
  const barY = LINE_HEIGHT + 2;
  const numbersY = barY + BAR.height + BAR.tick;
  const bar = canvas(width, numbersY + LINE_HEIGHT);
  paintText(bar, label, 0, 0);
  for (let x = 0; x < barWidth; x++) {
    const column = { x: halfNumber + x, y: barY, width: 1, height: BAR.height };
    paintRectangle(bar, column, viridis(x / (barWidth - 1)));
  }
  for (const value of [0, 0.5, 1]) {
    const x = halfNumber + Math.round(value * (barWidth - 1));
    paintRectangle(bar, { x, y: barY + BAR.height, width: 1, height: BAR.tick }, GREY);
    const number = String(value);
    paintText(bar, number, x - measureText(number).width / 2, numbersY, { colour: GREY });
  }
  return bar;
}

/** The picture with its legend below it; it keeps its pixels, but one too small for text is enlarged. */
export function withLegend(picture: RgbImage, options: LegendOptions): RgbImage {
  const scale = Math.max(1, Math.ceil(MIN_PICTURE / Math.max(picture.width, picture.height)));
  const shown = resize(picture, picture.width * scale, picture.height * scale, 'bilinear');
  return stack([shown, legend(options, Math.max(shown.width, MIN_PICTURE))]);
}

/** The image, brought to a size that text goes with, on white with lines of text below it; long lines are wrapped. */
export function captioned(image: RgbImage, lines: readonly string[]): RgbImage {
  const shown = toTile(image);
  const width = cellWidth(shown);
  const wrapped = lines.flatMap((line) => wrapText(line, width));
  return stack([captionedTile(shown, wrapped, width, wrapped.length)]);
}

/**
 * The figure of the paper (its figures 5 and 7): photograph, FM-G-CAM, then the map of each class, side by side, in as
 * many rows as are needed, each with a caption; below them the legend. Small photographs are enlarged and large ones
 * reduced, so that the text has the same size on every sheet.
 * @throws UsageError if the pictures differ in size.
 */
export function contactSheet(sheet: ContactSheet): RgbImage {
  const { photo, fused, singles } = sheet;
  const all: SheetTile[] = [
    { title: 'Photo', image: photo },
    ...(fused ? [{ title: 'FM-G-CAM', image: fused }] : []),
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
  const heading = sheet.title === undefined ? canvas(0, 0) : legend({ title: sheet.title }, grid.width);
  const parts = [heading, grid, sheet.legend ? legend(sheet.legend, grid.width) : canvas(0, 0)];
  return stack(parts.filter(({ height }) => height > 0));
}

/** Tiles with their captions below them, all of one size. */
function captionedTiles(tiles: readonly SheetTile[]): RgbImage[] {
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

/** The image centred above lines of text, in a cell with room for `lineCount` lines; the swatch stands before the text. */
function captionedTile(
  image: RgbImage,
  lines: readonly string[],
  width: number,
  lineCount: number,
  colour?: Rgb,
): RgbImage {
  const textHeight = lineCount > 0 ? SWATCH_GAP + lineCount * LINE_HEIGHT : 0;
  const tile = canvas(width, image.height + textHeight);
  paintImage(tile, image, Math.floor((width - image.width) / 2), 0);
  const indent = indentOf(colour);
  const top = image.height + SWATCH_GAP;
  const textX = paintLines(tile, lines, indent, top, width - indent);
  if (colour) paintSwatch(tile, textX - indent, top, colour);
  return tile;
}

/** Centres lines of text in a column; returns where the first one starts. */
function paintLines(target: RgbImage, lines: readonly string[], x: number, y: number, width: number): number {
  const starts = lines.map((line) => x + Math.floor((width - measureText(line).width) / 2));
  lines.forEach((line, i) => {
    paintText(target, line, starts[i] ?? x, y + i * LINE_HEIGHT);
  });
  return starts[0] ?? x;
}

/** Tiles of one size in rows of equal length (but for the last), as few as fit into SHEET_WIDTH. */
function tileGrid(tiles: readonly RgbImage[]): RgbImage {
  const { width = 0, height = 0 } = tiles[0] ?? {};
  const mostColumns = Math.max(2, Math.floor((SHEET_WIDTH - 2 * MARGIN + GAP) / (width + GAP)));
  const rows = Math.ceil(tiles.length / mostColumns);
  const columns = Math.ceil(tiles.length / rows);
  const grid = canvas(columns * (width + GAP) - GAP, rows * (height + GAP) - GAP);
  tiles.forEach((tile, i) => {
    paintImage(grid, tile, (i % columns) * (width + GAP), Math.floor(i / columns) * (height + GAP));
  });
  return grid;
}

/** The parts one below the other, with margins. */
function stack(parts: readonly RgbImage[]): RgbImage {
  const width = Math.max(...parts.map((part) => part.width));
  const height = parts.reduce((sum, part) => sum + part.height + GAP, -GAP);
  const result = canvas(width + 2 * MARGIN, height + 2 * MARGIN);
  let y = MARGIN;
  for (const part of parts) {
    paintImage(result, part, MARGIN, y);
    y += part.height + GAP;
  }
  return result;
}

/** The image at the size it has on a sheet. */
function toTile(image: RgbImage): RgbImage {
  const { width, height } = image;
  const scale = Math.min(TILE_SIDE / Math.sqrt(width * height), LONGEST_SIDE / Math.max(width, height));
  return resize(image, scaled(width, scale), scaled(height, scale), 'bilinear');
}

function scaled(size: number, scale: number): number {
  return Math.max(1, Math.round(size * scale));
}

function cellWidth(tile: RgbImage): number {
  return Math.max(tile.width, MIN_CELL);
}

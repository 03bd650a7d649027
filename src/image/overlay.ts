import { UsageError } from '../errors.ts';
import { classColour, viridis } from './colour.ts';
import { blendPixel, type Rectangle, type Rgb, type RgbImage, requireSize } from './image.ts';

/** A map over (a region of) a photograph: [height, width], row-major, at any resolution. */
export interface OverlayMap {
  readonly data: Float32Array;
  readonly height: number;
  readonly width: number;
}

/** How a map is laid over a photograph. */
export interface OverlayOptions {
  /** The part of the photograph, in its pixels, that the map covers: what the network saw. Default: all of it. */
  readonly region?: Rectangle;
  /** How strongly the map covers the photograph, from 0 (the photograph unchanged) to 1. Default 0.7. */
  readonly heatmapAlpha?: number;
}

/** How `overlayFused` lays the maps of several classes over a photograph. */
export interface FusedOverlayOptions extends OverlayOptions {
  /** The colour of each class. Default: `classColour` of its position. */
  readonly colours?: readonly Rgb[];
  /** The value that is shown at the full opacity. Default: the largest one over all classes. */
  readonly fullScale?: number;
}

const DEFAULT_ALPHA = 0.7;
/** How much darker the photograph is outside the region, at a heatmapAlpha of 1. */
const DIMMING = 0.4;
/** How much of its own colour a photograph loses under the hues of classes, at a heatmapAlpha of 1. */
const GREYING = 1;
/** The value from which a single map is no longer transparent. */
const FULL_OPACITY = 0.5;
const BLACK: Rgb = [0, 0, 0];

/** The colours that a single map is painted in. */
const VIRIDIS = Array.from({ length: 256 }, (_, level) => viridis(level / 256));

/**
 * Bilinear interpolation to [height, width] with half-pixel centres: PyTorch's `interpolate(mode='bilinear',
 * align_corners=False)`, without antialiasing.
 * @throws UsageError if a size does not fit the data.
 */
export function upsample(map: OverlayMap, height: number, width: number): Float32Array {
  requireSize(height, 'height');
  requireSize(width, 'width');
  requireMap(map);
  const [rows, columns] = [neighbours(map.height, height, 0, height), neighbours(map.width, width, 0, width)];
  const result = new Float32Array(height * width);
  for (let y = 0; y < height; y++) sampleRow(map, rows, y, columns, result.subarray(y * width, (y + 1) * width));
  return result;
}

/** For each output pixel along one axis: the two map pixels it lies between, and how far it is on the way to the second. */
interface Neighbours {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly fraction: Float64Array;
}

/** Of `count` output pixels, where the map's `size` pixels cover the `length` output pixels from `start` on. */
function neighbours(size: number, count: number, start: number, length: number): Neighbours {
  const position = (i: number) => Math.min(size - 1, Math.max(0, ((i + 0.5 - start) * size) / length - 0.5));
  const positions = Float64Array.from({ length: count }, (_, i) => position(i));
  const first = Int32Array.from(positions, Math.floor);
  return {
    first,
    second: first.map((pixel) => Math.min(pixel + 1, size - 1)),
    fraction: positions.map((at) => at - Math.floor(at)),
  };
}

/** Writes the map's values along output row `y` to `target`. */
function sampleRow(map: OverlayMap, rows: Neighbours, y: number, columns: Neighbours, target: Float32Array): void {
  const { data, width } = map;
  const [top, bottom] = [(rows.first[y] ?? 0) * width, (rows.second[y] ?? 0) * width];
  const v = rows.fraction[y] ?? 0;
  for (let x = 0; x < target.length; x++) {
    const [left, right, u] = [columns.first[x] ?? 0, columns.second[x] ?? 0, columns.fraction[x] ?? 0];
    const above = (1 - u) * (data[top + left] ?? 0) + u * (data[top + right] ?? 0);
    const below = (1 - u) * (data[bottom + left] ?? 0) + u * (data[bottom + right] ?? 0);
    target[x] = (1 - v) * above + v * below;
  }
}

/**
 * One map in viridis over the photograph. Values are taken as they are, clipped to [0, 1]. A value of 0 lets the
 * photograph through; from 0.5 on the opacity is `heatmapAlpha`, so that colours can be read off the colour bar.
 * Outside the region the photograph is dimmed.
 * @throws UsageError for values that are not finite, or sizes that do not fit.
 */
export function overlaySingle(image: RgbImage, map: OverlayMap, options: OverlayOptions = {}): RgbImage {
  return overlay(image, [map], VIRIDIS, options, ([values = new Float32Array()], paint) => {
    values.forEach((each, x) => {
      const value = Math.min(1, Math.max(0, each));
      paint.colour[x] = Math.min(255, Math.trunc(value * 256));
      paint.opacity[x] = Math.min(1, value / FULL_OPACITY);
    });
  });
}

/**
 * The maps of K classes, which have one size, over the photograph in one hue per class: each pixel has the colour of
 * the class with the largest value there (the first of equals), at an opacity in proportion to that value.
 * For display the values are divided by the largest one over *all* classes (or by `fullScale`), so that classes can be
 * compared; negative values count as 0. The photograph loses most of its own colour, so that the hues are those of the
 * classes; outside the region it is dimmed.
 * @throws UsageError for values that are not finite, or sizes that do not fit.
 */
export function overlayFused(
  image: RgbImage,
  maps: readonly OverlayMap[],
  options: FusedOverlayOptions = {},
): RgbImage {
  const largest = options.fullScale ?? maps.reduce((most, { data }) => data.reduce((a, b) => Math.max(a, b), most), 0);
  const colours = maps.map((_, rank) => options.colours?.[rank] ?? classColour(rank));
  const { heatmapAlpha = DEFAULT_ALPHA } = options;
  const base = largest > 0 ? paled(image, GREYING * heatmapAlpha) : image;
  return overlay(base, maps, colours, options, (rows, paint) => {
    paint.opacity.fill(0);
    rows.forEach((values, rank) => {
      for (let x = 0; x < values.length; x++) {
        const opacity = largest > 0 ? (values[x] ?? 0) / largest : 0;
        if (opacity <= (paint.opacity[x] ?? 0)) continue;
        paint.opacity[x] = opacity;
        paint.colour[x] = rank;
      }
    });
    paint.opacity.forEach((opacity, x) => {
      paint.opacity[x] = Math.min(1, opacity);
    });
  });
}

/** The image with its colours drawn towards their luma (ITU-R BT.601) by `amount` in [0, 1]. */
function paled({ width, height, data }: RgbImage, amount: number): RgbImage {
  const result = data.slice();
  for (let i = 0; i < data.length; i += 3) {
    const luma = 0.299 * (data[i] ?? 0) + 0.587 * (data[i + 1] ?? 0) + 0.114 * (data[i + 2] ?? 0);
    for (let c = i; c < i + 3; c++) {
      const value = data[c] ?? 0;
      result[c] = Math.round(value + (luma - value) * amount);
    }
  }
  return { width, height, data: result };
}

/** What lies over one row of pixels. */
interface RowPaint {
  /** Indices of colours. */
  readonly colour: Uint32Array;
  /** In [0, 1], before `heatmapAlpha`. */
  readonly opacity: Float32Array;
}

/** Blends what `paintRow` makes of the maps' values along each row over the region, and dims the rest. */
function overlay(
  image: RgbImage,
  maps: readonly OverlayMap[],
  colours: readonly Rgb[],
  options: OverlayOptions,
  paintRow: (rows: readonly Float32Array[], paint: RowPaint) => void,
): RgbImage {
  const { width, height } = image;
  const { region = { x: 0, y: 0, width, height }, heatmapAlpha = DEFAULT_ALPHA } = options;
  requireOverlay(region, heatmapAlpha);
  const [like] = maps;
  if (!like) throw new UsageError('maps is empty; give the map of at least one class');
  for (const map of maps) requireMap(map, like);
  const rows = neighbours(like.height, height, region.y, region.height);
  const columns = neighbours(like.width, width, region.x, region.width);
  const values = maps.map(() => new Float32Array(width));
  const paint = { colour: new Uint32Array(width), opacity: new Float32Array(width) };
  const [left, right] = wholePixels(region.x, region.width, width);
  const [top, bottom] = wholePixels(region.y, region.height, height);
  const result = { width, height, data: image.data.slice() };
  for (let y = 0; y < height; y++) {
    const seen = y >= top && y < bottom;
    if (seen) {
      for (const [k, target] of values.entries()) sampleRow(maps[k] ?? like, rows, y, columns, target);
      paintRow(values, paint);
    }
    dim(paint, 0, seen ? left : width, colours.length);
    dim(paint, seen ? right : width, width, colours.length);
    blendRow(result, y, paint, [...colours, BLACK], heatmapAlpha);
  }
  return result;
}

/** The first pixel, and the one after the last, whose centre lies in the `length` pixels from `start` on. */
function wholePixels(start: number, length: number, size: number): readonly [first: number, end: number] {
  const pixelAfter = (edge: number) => Math.min(size, Math.max(0, Math.ceil(edge - 0.5)));
  return [pixelAfter(start), pixelAfter(start + length)];
}

function dim({ colour, opacity }: RowPaint, start: number, end: number, black: number): void {
  colour.fill(black, start, end);
  opacity.fill(DIMMING, start, end);
}

function blendRow(image: RgbImage, y: number, paint: RowPaint, colours: readonly Rgb[], heatmapAlpha: number): void {
  for (let x = 0; x < image.width; x++) {
    blendPixel(image, x, y, colours[paint.colour[x] ?? 0] ?? BLACK, (paint.opacity[x] ?? 0) * heatmapAlpha);
  }
}

function requireMap({ data, height, width }: OverlayMap, like = { height, width }): void {
  requireSize(height, "the map's height");
  requireSize(width, "the map's width");
  if (data.length !== height * width) {
    throw new UsageError(`the map has ${data.length} values, not ${height} x ${width}; check its size`);
  }
  if (height !== like.height || width !== like.width) {
    throw new UsageError(
      `maps differ in size, ${like.height} x ${like.width} and ${height} x ${width}; give maps of one size`,
    );
  }
  if (!data.every(Number.isFinite)) throw new UsageError('the map has values that are not finite; check the model');
}

function requireOverlay(region: Rectangle, heatmapAlpha: number): void {
  if (!(heatmapAlpha >= 0 && heatmapAlpha <= 1)) {
    throw new UsageError(`heatmapAlpha is ${heatmapAlpha}; give a number from 0 to 1`);
  }
  if (!(region.width > 0 && region.height > 0 && Number.isFinite(region.x + region.y + region.width + region.height))) {
    throw new UsageError('region has no area; give x, y, width and height in pixels of the image');
  }
}

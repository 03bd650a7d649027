import type { StepName } from '../cam/trace.ts';
import { base64OfBytes } from '../image/base64.ts';
import { classColour, diverging, hexOf, viridis } from '../image/colour.ts';
import type { Rectangle, Rgb, RgbImage } from '../image/image.ts';
import { at } from '../tensor/shape.ts';
import { type Content, type Html, html } from './html.ts';
import { argLargest, formatNumber, rowOf, summaryOf } from './numbers.ts';
import { type HostStep, type Study, stepOf } from './study.ts';

/* Pictures of tensors with the numbers behind them, as `readUnderPointer` wants them. */

/** A study, and how its pictures are encoded. */
export interface Context {
  readonly study: Study;
  readonly encode: (image: RgbImage) => Uint8Array;
}

/** Which colours stand for which values. */
export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly colour: (value: number) => Rgb;
}

/** From 0 to the largest value where none is (visibly) negative, else symmetric about 0. */
export function scaleOf(values: Float32Array): Scale {
  const { min, max } = summaryOf(values);
  if (-min * 256 <= max) return { low: 0, high: max, colour: (value) => viridis(max > 0 ? value / max : 0) };
  const most = Math.max(-min, max);
  return { low: -most, high: most, colour: (value) => diverging(value / most) };
}

/** One pixel for each value. */
export function heatMap(values: ArrayLike<number>, width: number, colour: (value: number) => Rgb): RgbImage {
  const data = Uint8Array.from(Array.from(values, colour).flat());
  return { width, height: values.length / width, data };
}

export function picture({ encode }: Context, image: RgbImage, alt: string): Html {
  const source = `data:image/png;base64,${base64OfBytes(encode(image))}`;
  return html`<img src="${source}" alt="${alt}" width="${image.width}" height="${image.height}">`;
}

export interface FrameOptions {
  readonly content: Html;
  /** What the frame shows, for those who do not see it. */
  readonly label: string;
  readonly caption: Content;
  readonly grid: readonly [rows: number, columns: number];
  /** [channels, rows, columns]; without it the frame only shows the place. */
  readonly values?: Float32Array;
  /** What whole numbers among the values stand for. */
  readonly names?: readonly string[];
  /** The part of the picture that the grid covers, in fractions of it. */
  readonly region?: Rectangle;
  readonly group?: 'pixel' | 'channel';
  /** The position that is shown at first. */
  readonly start?: number;
  readonly kind?: 'pixels' | 'photo' | 'chart';
}

export function frame(options: FrameOptions): Html {
  const { content, label, caption, grid, values, names, region, group = 'pixel', start, kind = 'pixels' } = options;
  const bytes = values && new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const data = [
    html` data-group="${group}" data-grid="${grid.join(' ')}"`,
    bytes ? html` data-values="${base64OfBytes(bytes)}"` : '',
    names ? html` data-names="${names.map((name) => name.replace(/\s+/g, ' ')).join('\n')}"` : '',
    region ? html` data-region="${[region.x, region.y, region.width, region.height].join(' ')}"` : '',
    start === undefined ? '' : html` data-start="${start}"`,
  ];
  const help = group === 'pixel' ? 'arrow keys move the pixel' : 'arrow keys move the channel';
  return html`<figure class="${kind}"><div class="frame" tabindex="0" role="group"
    aria-label="${label}; ${help}"${data}>${content}</div>
<figcaption>${caption}${bytes ? html`<output class="value" aria-live="off"></output>` : ''}</figcaption></figure>`;
}

/** The hue of a class, as a small square. */
export function swatch(rank: number): Html {
  return html`<svg class="swatch" viewBox="0 0 1 1" aria-hidden="true"><rect width="1" height="1"
    fill="${hexOf(classColour(rank))}"/></svg>`;
}

/** A class in a caption. */
export function classLabel({ study }: Context, rank: number): Html {
  return words([swatch(rank), at(study.classes, rank).name]);
}

interface MapOptions {
  readonly label: string;
  readonly caption: Content;
  readonly scale: Scale;
  readonly start?: number;
}

/** One map [rows, columns] as a picture with a pixel for each value. */
export function mapFrame(context: Context, values: Float32Array, columns: number, options: MapOptions): Html {
  const { label, caption, scale, start } = options;
  const rows = values.length / columns;
  const { min, max } = summaryOf(values);
  const peak = argLargest(values);
  const [row, column] = [Math.floor(peak / columns), peak % columns];
  const alt = `${label}: from ${formatNumber(min)} to ${formatNumber(max)}, largest at row ${row}, column ${column}`;
  return frame({
    content: picture(context, heatMap(values, columns, scale.colour), alt),
    label: `${label}, ${rows} x ${columns} values`,
    caption,
    grid: [rows, columns],
    values,
    ...(start !== undefined && { start }),
  });
}

/** The K maps of a step [K,I,J] on one scale, and that scale. */
export function classMapFrames(context: Context, name: StepName, symbol: string, start?: number): Html {
  const { data, shape } = stepOf(context.study, name);
  const [, rows = 1, columns = 1] = shape;
  const scale = scaleOf(data);
  const maps = context.study.classes.map((explained, k) =>
    mapFrame(context, rowOf(data, k, rows * columns), columns, {
      label: `${symbol} of ${explained.name}`,
      caption: classLabel(context, k),
      scale,
      ...(k === 0 && start !== undefined && { start }),
    }),
  );
  return html`${tiles(maps)}${scaleBar(context, scale)}`;
}

export function tiles(frames: readonly Html[]): Html {
  return html`<div class="tiles">${frames}</div>`;
}

const BAR_COLOURS = 64;

/** The colours of a scale, with numbers. */
export function scaleBar(context: Context, { low, high, colour }: Scale): Html {
  if (low === high) return html`<p class="note">All values are ${formatNumber(low)}.</p>`;
  const value = (fraction: number) => low + (high - low) * fraction;
  const colours = Array.from({ length: BAR_COLOURS }, (_, i) => value(i / (BAR_COLOURS - 1)));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((fraction) => html`<span>${formatNumber(value(fraction))}</span>`);
  const alt = `Colours from ${formatNumber(low)} to ${formatNumber(high)}`;
  return html`<div class="scale">${picture(context, heatMap(colours, BAR_COLOURS, colour), alt)}<div class="ticks"
    aria-hidden="true">${ticks}</div></div>`;
}

/** A table with a head, which is scrolled where it does not fit. */
export function table(headings: readonly string[], rows: readonly Html[]): Html {
  const head = headings.map((heading) => html`<th scope="col">${heading}</th>`);
  return html`<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** The words of a caption, above the number under the pointer. */
export function words(content: Content): Html {
  return html`<span class="class">${content}</span>`;
}

/** Steps whose values are positions of classes. */
const POSITIONS: ReadonlySet<StepName> = new Set(['top', 'winner', 'reference_winner']);

/** Shape, extremes and norm of whole tensors. */
export function statistics(steps: readonly HostStep[]): Html {
  const numeric = steps.filter(({ name }) => !POSITIONS.has(name));
  if (numeric.length === 0) return html``;
  const rows = numeric.map(({ name, shape, data }) => {
    const { min, max, norm } = summaryOf(data);
    const cells = [min, max, norm].map((value) => html`<td>${formatNumber(value)}</td>`);
    return html`<tr><th scope="row"><code>${name}</code></th><td>${shape.join(' × ')}</td>${cells}</tr>`;
  });
  return table(['tensor', 'shape', 'min', 'max', 'L2 norm'], rows);
}

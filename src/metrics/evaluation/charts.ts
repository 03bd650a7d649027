/* Charts as SVG text, without scripts and style attributes, so that a page under a strict policy may show them. */

export interface Series {
  readonly name: string;
  readonly colour: string;
  /** y for each x; null leaves a gap. */
  readonly values: readonly (number | null)[];
}

export interface BoxSeries {
  readonly name: string;
  readonly colour: string;
  /** For each x: least value, quartiles, largest value. */
  readonly boxes: readonly (readonly number[] | null)[];
}

export interface ChartOptions {
  readonly title: string;
  /** The labels of the positions on the x axis; of many, only the first and the last are written. */
  readonly labels: readonly string[];
  readonly xTitle: string;
}

const WIDTH = 265;
const HEIGHT = 200;
const LEFT = 46;
const RIGHT = 22;
const TOP = 28;
const BOTTOM = 40;
const MANY = 8;

/** Lines with a mark at each position; marks are left out where there are many. */
export function lineChart(series: readonly Series[], options: ChartOptions): string {
  const scale = scaleOf(
    series.flatMap(({ values }) => values.filter((value) => value !== null)),
    options.labels.length,
  );
  const marks = options.labels.length <= MANY;
  const lines = series.map(({ name, colour, values }) => {
    const points = values.flatMap((value, i) => (value === null ? [] : [[scale.x(i), scale.y(value), value] as const]));
    const path = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ');
    const dots = points.map(
      ([x, y, value]) =>
        `<circle cx="${round(x)}" cy="${round(y)}" r="3.5" fill="${colour}"><title>${escapeHtml(name)}: ${value.toFixed(6)}</title></circle>`,
    );
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${marks ? dots.join('') : ''}`;
  });
  return frame(scale, options, lines.join(''));
}

/** Tukey's boxes without outliers: from quartile to quartile, the median across, whiskers to the extremes. */
export function boxChart(series: readonly BoxSeries[], options: ChartOptions): string {
  const scale = scaleOf(
    series.flatMap(({ boxes }) => boxes.flatMap((box) => box ?? [])),
    options.labels.length,
  );
  const half = 6;
  const bodies = series.flatMap(({ name, colour, boxes }, s) =>
    boxes.map((box, i) => {
      if (!box) return '';
      const [least = 0, first = 0, median = 0, third = 0, most = 0] = box.map(scale.y).map(round);
      const x = round(scale.x(i) + (s - (series.length - 1) / 2) * (2 * half + 4));
      return (
        `<g stroke="${colour}"><title>${escapeHtml(name)}: median ${(box[2] ?? 0).toFixed(6)}</title>` +
        `<path d="M${x} ${least}V${first}M${x} ${third}V${most}"/>` +
        `<rect x="${x - half}" y="${third}" width="${2 * half}" height="${Math.max(0, first - third)}" fill="${colour}" fill-opacity="0.25"/>` +
        `<path d="M${x - half} ${median}h${2 * half}" stroke-width="2"/></g>`
      );
    }),
  );
  return frame(scale, options, bodies.join(''));
}

interface Scale {
  readonly x: (position: number) => number;
  readonly y: (value: number) => number;
  readonly ticks: readonly number[];
}

function scaleOf(values: readonly number[], positions: number): Scale {
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const ticks = values.length > 0 ? ticksOf(least, most) : [0, 1];
  const [low = 0, high = 1] = [ticks[0], ticks.at(-1)];
  const inner = WIDTH - LEFT - RIGHT;
  return {
    // Few positions are columns, many are points of a curve from edge to edge.
    x: (i) => LEFT + (positions <= MANY ? ((i + 0.5) / positions) * inner : (i / (positions - 1)) * inner),
    y: (value) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM),
    ticks,
  };
}

/** Four to eight round numbers that enclose the values. */
function ticksOf(least: number, most: number): number[] {
  const range = most > least ? most - least : Math.abs(most) || 1;
  const power = 10 ** Math.floor(Math.log10(range / 4));
  const step = power * ([1, 2, 5].find((factor) => range / (factor * power) <= 6) ?? 10);
  const first = Math.floor(least / step);
  const last = Math.max(first + 1, Math.ceil(most / step));
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function frame({ x, y, ticks }: Scale, { title, labels, xTitle }: ChartOptions, content: string): string {
  const digits = Math.max(0, -Math.floor(Math.log10((ticks[1] ?? 1) - (ticks[0] ?? 0)) + 1e-9));
  const grid = ticks.map(
    (tick) =>
      `<path d="M${LEFT} ${round(y(tick))}H${WIDTH - RIGHT}" stroke="#ddd"/>` +
      `<text x="${LEFT - 6}" y="${round(y(tick) + 4)}" text-anchor="end">${digits > 5 ? tick.toExponential(0) : tick.toFixed(digits)}</text>`,
  );
  const written = labels.map((label, i) =>
    labels.length <= MANY || i === 0 || i === labels.length - 1
      ? `<text x="${round(x(i))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${escapeHtml(label)}</text>`
      : '',
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" font-size="11" font-family="sans-serif">` +
    `<title>${escapeHtml(title)}</title><text x="${LEFT}" y="16" font-size="13" font-weight="bold">${escapeHtml(title)}</text>` +
    `${grid.join('')}${written.join('')}` +
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(xTitle)}</text>${content}</svg>`
  );
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Text for HTML and SVG, also inside quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

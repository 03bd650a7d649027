import { at } from '../../tensor/shape.ts';
import { boxChart, escapeHtml, lineChart } from './charts.ts';
import {
  differencesNote,
  differencesTable,
  meansTable,
  otherMetrics,
  type Row,
  type Summary,
  TABLE_METRICS,
} from './summary.ts';

/** An image as the page shows it: one tile for each method and rank. */
export interface ShownImage {
  readonly name: string;
  /** What it was chosen by. */
  readonly note: string;
  readonly methods: readonly { readonly name: string; readonly tiles: readonly Tile[] }[];
}

export interface Tile {
  /** A `data:` address of a PNG file; null where the map has NaN. */
  readonly source: string | null;
  readonly caption: string;
}

export interface Page {
  readonly summary: Summary;
  readonly best: readonly ShownImage[];
  readonly worst: readonly ShownImage[];
}

/** The style sheet; the page's policy names its hash. */
export const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right; } th { border-bottom: 2px solid #888; }
th:first-child, td:first-child { text-align: left; }
.settings th, .settings td { text-align: left; border-bottom: 1px solid #ddd; font-weight: normal; } .settings td { overflow-wrap: anywhere; }
.charts { display: flex; flex-wrap: wrap; gap: .5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: .3rem 0 .8rem; }
figure { margin: 0; width: 168px; font-size: 12px; } figure img { width: 168px; height: auto; display: block; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; overflow-wrap: anywhere; } h4 { font-size: .85rem; margin: .2rem 0; }
p.note { color: #555; font-size: 13px; } .key { margin-right: 1.2rem; }
`;

/** Told apart also by people who see few colours (Okabe and Ito 2008). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

const BETTER = {
  iauc: 'higher is better',
  ic: 'higher is better',
  dauc: 'lower is better',
  dc: 'higher is better',
} as const;

/**
 * A page that needs nothing but itself: no scripts, no addresses but `data:`.
 * @param styleHash SHA-256 of `STYLE`, in base64
 */
export function reportPage({ summary, best, worst }: Page, styleHash: string): string {
  const { settings, images, failed } = summary;
  const title = `FM-G-CAM evaluation: protocol ${settings.protocol}, ${settings.model}`;
  const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; img-src data:; base-uri 'none'; form-action 'none'`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title>
<style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
<p>${images} images${failed > 0 ? `; ${failed} more failed` : ''}. ${key(settings.methods)}</p>
<h2>Table 3: means by class rank</h2>
${htmlTable(meansTable(summary, TABLE_METRICS))}
<h2>Other metrics</h2>
${htmlTable(meansTable(summary, otherMetrics(summary)))}
<h2>Paired differences</h2>
${differences(summary)}
<h2>Figure 6: means by class rank</h2>
<div class="charts">${TABLE_METRICS.map((metric) => figure6(summary, metric)).join('')}</div>
<h2>Mean curves</h2>
<div class="charts">${curves(summary)}</div>
<h2>Distributions</h2>
<p class="note">Boxes from quartile to quartile with the median; whiskers to the extremes.</p>
<div class="charts">${TABLE_METRICS.map((metric) => distribution(summary, metric)).join('')}</div>
<h2>Best images for ${escapeHtml(at(settings.methods, 0))}</h2>
${best.map(shownImage).join('')}
<h2>Worst images for ${escapeHtml(at(settings.methods, 0))}</h2>
${worst.map(shownImage).join('')}
<h2>Settings</h2>
<table class="settings">${settingRows(settings)}</table>
</body></html>
`;
}

function key(methods: readonly string[]): string {
  return methods
    .map(
      (method, m) =>
        `<span class="key"><svg width="14" height="10"><rect width="14" height="10" fill="${colour(m)}"/></svg> ${escapeHtml(method)}</span>`,
    )
    .join('');
}

function colour(m: number): string {
  return COLOURS[m % COLOURS.length] ?? '#000';
}

function differences(summary: Summary): string {
  if (summary.differences.length === 0) return '<p>One method only: nothing to compare.</p>';
  return `${htmlTable(differencesTable(summary))}
<p class="note">${escapeHtml(differencesNote(summary))}.</p>`;
}

function htmlTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${line(head, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('\n')}</tbody></table>`;
}

function rowsOf({ rows }: Summary, method: string): Row[] {
  return rows.filter((row) => row.method === method);
}

function rankLabels({ settings }: Summary): string[] {
  return Array.from({ length: settings.topK }, (_, k) => String(k + 1));
}

function figure6(summary: Summary, metric: (typeof TABLE_METRICS)[number]): string {
  const series = summary.settings.methods.map((name, m) => ({
    name,
    colour: colour(m),
    values: rowsOf(summary, name).map(({ means }) => means[metric].mean),
  }));
  const title = `Mean ${metric.toUpperCase()} (${BETTER[metric]})`;
  return lineChart(series, { title, labels: rankLabels(summary), xTitle: 'class rank' });
}

function curves(summary: Summary): string {
  return Array.from({ length: summary.settings.topK }, (_, k) =>
    (['deletion', 'insertion'] as const).map((kind) => {
      const series = summary.settings.methods.map((name, m) => ({
        name,
        colour: colour(m),
        values: at(rowsOf(summary, name), k)[kind],
      }));
      const points = Math.max(...series.map(({ values }) => values.length));
      const labels = Array.from({ length: points }, (_, i) => `${Math.round((100 * i) / (points - 1))} %`);
      const xTitle = `pixels ${kind === 'deletion' ? 'removed' : 'inserted'}`;
      return points > 0
        ? lineChart(series, {
            title: `${kind === 'deletion' ? 'Deletion' : 'Insertion'}, rank ${k + 1}`,
            labels,
            xTitle,
          })
        : '';
    }),
  )
    .flat()
    .join('');
}

function distribution(summary: Summary, metric: (typeof TABLE_METRICS)[number]): string {
  const series = summary.settings.methods.map((name, m) => ({
    name,
    colour: colour(m),
    boxes: rowsOf(summary, name).map(({ quartiles }) => quartiles[metric]),
  }));
  return boxChart(series, { title: metric.toUpperCase(), labels: rankLabels(summary), xTitle: 'class rank' });
}

function shownImage({ name, note, methods }: ShownImage): string {
  const tile = ({ source, caption }: Tile) =>
    `<figure>${source ? `<img src="${escapeHtml(source)}" alt="">` : '<p>the map has NaN</p>'}<figcaption>${escapeHtml(caption)}</figcaption></figure>`;
  const rows = methods.map(
    ({ name, tiles }) => `<h4>${escapeHtml(name)}</h4><div class="tiles">${tiles.map(tile).join('')}</div>`,
  );
  return `<h3>${escapeHtml(name)}</h3><p class="note">${escapeHtml(note)}</p>${rows.join('')}`;
}

/** Every setting on a line, with its dotted name. */
function settingRows(value: object, path = ''): string {
  return Object.entries(value)
    .map(([name, entry]: [string, unknown]) =>
      typeof entry === 'object' && entry !== null && !Array.isArray(entry)
        ? settingRows(entry, `${path}${name}.`)
        : `<tr><th>${escapeHtml(path + name)}</th><td>${escapeHtml(Array.isArray(entry) ? entry.join(', ') : String(entry))}</td></tr>`,
    )
    .join('\n');
}

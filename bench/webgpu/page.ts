import { escapeHtml } from '../../src/metrics/evaluation/charts.ts';
import type { Table } from '../report.ts';
import { htmlTable, htmlList as list, STYLE } from './html.ts';
import { adapterName, type Results, speedOf } from './results.ts';
import { bestOf, conditionsOf } from './tables.ts';

/* The page that `compare` makes: tables, and charts as SVG; it needs nothing but itself. */

/** Runs are named by letters, so that columns stay narrow. */
export const letter = (run: number) => String.fromCharCode('A'.charCodeAt(0) + run);

/** Told apart also by people who see few colours (Okabe and Ito 2008). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const colourOf = (i: number) => COLOURS[i % COLOURS.length] ?? '#000';

export function comparisonPage(runs: readonly Results[], tables: readonly Table[]): string {
  const title = `Convolutions on WebGPU: ${runs.map(nameOf).join(', ')}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>${escapeHtml(title)}</title>
<style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
${runs.map((run, i) => `<h3>${letter(i)}: ${escapeHtml(nameOf(run))}</h3>\n${list([`${run.date}, ${run.host.processor}, ${run.host.cores} cores, ${run.host.system}`, ...conditionsOf(run)])}`).join('\n')}
<h2>Roofline</h2>
<p class="note">Each mark is a convolution with its fastest variant; the lines are what was measured of multiply-adds and of copying in the same run.</p>
${roofline(runs)}
${runs
  .slice(1)
  .map((run, i) => `<h2>${letter(i + 1)} against A</h2>\n${scatter(runs[0] ?? run, run, letter(i + 1))}`)
  .join('\n')}
${tables.map((table) => `<h2>${escapeHtml(table.title)}</h2>\n<div class="wide">${htmlTable(table)}</div>`).join('\n')}
${runs.map((run, i) => `<h2>${letter(i)}: variants of each convolution</h2>\n${variants(run)}`).join('\n')}
</body></html>
`;
}

const nameOf = ({ adapter }: Results) => adapterName(adapter);

/** A logarithmic axis from one length of the picture to another. */
interface Axis {
  readonly at: (value: number) => number;
  /** Powers of ten, and 2 and 5 times them where there are few. */
  readonly ticks: readonly number[];
}

function logAxis(values: readonly number[], from: number, to: number): Axis {
  const least = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) / 1.25;
  const most = values.reduce((a, b) => Math.max(a, b), 0) * 1.25;
  const [low, high] = [Math.log10(least), Math.log10(most)];
  const factors = high - low > 3 ? [1] : [1, 2, 5];
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => 10 ** (Math.floor(low) + i));
  return {
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
    ticks: powers
      .flatMap((power) => factors.map((factor) => factor * power))
      .filter((tick) => tick >= least && tick <= most),
  };
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [760, 420, 56, 16, 34, 44];

function plot(x: Axis, y: Axis, names: { x: string; y: string }, content: string): string {
  const vertical = x.ticks.map(
    (tick) =>
      `<path d="M${round(x.at(tick))} ${TOP}V${HEIGHT - BOTTOM}" stroke="#e4e4e4"/>` +
      `<text x="${round(x.at(tick))}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${short(tick)}</text>`,
  );
  const horizontal = y.ticks.map(
    (tick) =>
      `<path d="M${LEFT} ${round(y.at(tick))}H${WIDTH - RIGHT}" stroke="#e4e4e4"/>` +
      `<text x="${LEFT - 6}" y="${round(y.at(tick) + 4)}" text-anchor="end">${short(tick)}</text>`,
  );
  return svg(
    HEIGHT,
    `${vertical.join('')}${horizontal.join('')}<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">${names.x}</text>` +
      `<text x="${LEFT}" y="${TOP - 20}">${names.y}</text>${content}`,
  );
}

function svg(height: number, content: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-size="11" font-family="sans-serif">${content}</svg>`;
}

function mark(x: number, y: number, colour: string, title: string): string {
  return `<circle cx="${round(x)}" cy="${round(y)}" r="4" fill="${colour}" fill-opacity="0.75"><title>${escapeHtml(title)}</title></circle>`;
}

/** Width of a letter, about. */
const LETTER = 6.2;

function legend(names: readonly string[]): string {
  // Behind the name of an axis.
  let next = LEFT + 70;
  return names
    .map((name, i) => {
      const x = next;
      next += Math.round(26 + LETTER * name.length);
      return `<circle cx="${x}" cy="10" r="4" fill="${colourOf(i)}"/><text x="${x + 8}" y="14">${escapeHtml(name)}</text>`;
    })
    .join('');
}

/** Speed over operations for each byte, under what compute and memory allow. */
function roofline(runs: readonly Results[]): string {
  const marks = runs.flatMap((run, i) =>
    run.layers.flatMap((layer) => {
      const best = bestOf(layer, run);
      return best ? [{ run: i, layer, best, intensity: layer.operations / layer.bytes }] : [];
    }),
  );
  const ridges = runs.map(({ ceilings: { gflops, gigabytesPerSecond } }) => gflops / gigabytesPerSecond);
  const x = logAxis([...marks.map(({ intensity }) => intensity), ...ridges], LEFT, WIDTH - RIGHT);
  const speeds = [...marks.map(({ best }) => best.gflops), ...runs.map(({ ceilings }) => ceilings.gflops)];
  const y = logAxis(speeds, HEIGHT - BOTTOM, TOP);
  const [lowest = 0] = [...marks.map(({ intensity }) => intensity), ...ridges].sort((a, b) => a - b);
  const roofs = runs.map(({ ceilings: { gflops, gigabytesPerSecond } }, i) => {
    // From where the slope enters the picture.
    const bottom = Math.min(...speeds) / 1.25;
    const start = Math.max(lowest / 1.25, bottom / gigabytesPerSecond);
    const ridge = gflops / gigabytesPerSecond;
    const points = [
      [start, start * gigabytesPerSecond],
      [ridge, gflops],
    ] as const;
    const path = points.map(([px, py]) => `${round(x.at(px))},${round(y.at(py))}`).join(' ');
    return `<polyline points="${path} ${WIDTH - RIGHT},${round(y.at(gflops))}" fill="none" stroke="${colourOf(i)}" stroke-width="2"/>`;
  });
  const dots = marks.map(({ run, layer, best, intensity }) =>
    mark(
      x.at(intensity),
      y.at(best.gflops),
      colourOf(run),
      `${letter(run)}: ${layer.name}, ${best.name}: ${best.gflops.toFixed(1)} GFLOP/s`,
    ),
  );
  const names = { x: 'operations for each byte', y: 'GFLOP/s' };
  return plot(x, y, names, roofs.join('') + dots.join('') + legend(runs.map((_, i) => letter(i))));
}

/** The time of each convolution on one adapter over that on another. */
function scatter(a: Results, b: Results, name: string): string {
  const others = new Map(b.layers.map((layer) => [layer.name, bestOf(layer, b)]));
  const pairs = a.layers.flatMap((layer) => {
    const [first, second] = [bestOf(layer, a), others.get(layer.name)];
    return first && second ? [{ layer, first: first.milliseconds, second: second.milliseconds }] : [];
  });
  if (pairs.length === 0) return '<p>They have no convolution in common.</p>';
  const x = logAxis(
    pairs.map(({ first }) => first),
    LEFT,
    WIDTH - RIGHT,
  );
  const y = logAxis(
    pairs.map(({ second }) => second),
    HEIGHT - BOTTOM,
    TOP,
  );
  const dots = pairs.map(({ layer, first, second }) =>
    mark(x.at(first), y.at(second), colourOf(0), `${layer.name}: ${name} takes ${(second / first).toFixed(2)} of A`),
  );
  const logs = pairs.map(({ first, second }) => Math.log(second / first));
  const mean = Math.exp(logs.reduce((sum, value) => sum + value, 0) / logs.length);
  const names = { x: 'A, ms', y: `${name}, ms; ${name}/A is ${mean.toFixed(2)} in the geometric mean` };
  return plot(x, y, names, dots.join(''));
}

const ROW = 15;
const NAMES = 300;

/** One line for each convolution: the speed of each of its variants, and the measured ceiling. */
function variants(run: Results): string {
  const speeds = run.layers.map((layer) =>
    layer.variants.flatMap((variant) => {
      const speed = speedOf(layer, variant, run);
      return speed ? [{ name: variant.name, ...speed }] : [];
    }),
  );
  const names = [...new Set(run.layers.flatMap((layer) => layer.variants.map(({ name }) => name)))];
  const most = Math.max(run.ceilings.gflops, ...speeds.flat().map(({ gflops }) => gflops));
  const at = (gflops: number) => NAMES + (gflops / most) * (WIDTH - RIGHT - NAMES);
  const height = TOP + ROW * run.layers.length + 20;
  const lines = run.layers.map((layer, i) => {
    const y = TOP + ROW * (i + 0.5);
    const dots = (speeds[i] ?? []).map(({ name, gflops, ofCeiling }) =>
      mark(
        at(gflops),
        y,
        colourOf(names.indexOf(name)),
        `${layer.name}, ${name}: ${gflops.toFixed(1)} GFLOP/s, ${(100 * ofCeiling).toFixed(0)} % of the ceiling`,
      ),
    );
    return (
      `<path d="M${NAMES} ${y}H${WIDTH - RIGHT}" stroke="#eee"/>` +
      `<text x="${NAMES - 8}" y="${y + 4}" text-anchor="end">${escapeHtml(layer.name)}</text>${dots.join('')}`
    );
  });
  const scale = [0, 0.25, 0.5, 0.75, 1].map(
    (part) =>
      `<text x="${round(at(part * most))}" y="${height - 4}" text-anchor="${part === 1 ? 'end' : 'middle'}">${short(Number((part * most).toPrecision(2)))}${part === 1 ? ' GFLOP/s' : ''}</text>`,
  );
  const ceiling = `<path d="M${round(at(run.ceilings.gflops))} ${TOP - 4}V${height - 16}" stroke="#888" stroke-dasharray="4 3"/>`;
  return svg(height, lines.join('') + scale.join('') + ceiling + legend(names));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function short(value: number): string {
  return `${Number(value.toPrecision(3))}`;
}

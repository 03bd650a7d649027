import { writeFileSync } from 'node:fs';
import type { Options } from '../options.ts';
import { milliseconds, numeric, type Table, text } from '../report.ts';
import { readResults } from '../webgpu/files.ts';
import { comparisonPage, letter } from '../webgpu/page.ts';
import { adapterName, type Results } from '../webgpu/results.ts';
import { bestOf, networkTimes } from '../webgpu/tables.ts';
import type { Findings } from './findings.ts';

/* Files of `webgpu`, from here and elsewhere, beside each other. */

const PAGE = 'compare.html';

export async function compare({ files, out = PAGE }: Options): Promise<Findings> {
  const runs = files.map(readResults);
  const tables = [networksTable(runs), layersTable(runs)];
  writeFileSync(out, comparisonPage(runs, tables));
  return {
    conditions: runs.map(
      ({ adapter, host, date }, i) => `${letter(i)}: ${adapterName(adapter)}, ${host.runtime}, ${date}`,
    ),
    tables,
    notes: [`tables and charts: ${out}`],
    measurements: runs,
  };
}

/** All convolutions of each network, with the best variant of each. */
function networksTable(runs: readonly Results[]): Table {
  const times = runs.map((run) => new Map(networkTimes(run).map((entry) => [entry.network, entry])));
  const networks = [...new Set(times.flatMap((run) => [...run.keys()]))];
  return {
    title: 'All convolutions of a network: the fastest variant of each, added up',
    columns: [
      text('network'),
      ...runs.flatMap((_, i) => [
        numeric(`${letter(i)}, ms`),
        numeric('of the ceiling'),
        numeric('as chosen, ms'),
        ...ratioColumn(i),
      ]),
    ],
    rows: networks.map((network) => [
      network,
      ...times.flatMap((run, i) => {
        const entry = run.get(network);
        const first = times[0]?.get(network);
        const ratio = ratioCell(i, entry?.best, first?.best);
        if (!entry) return ['–', '–', '–', ...ratio];
        return [milliseconds(entry.best), percent(entry.floor / entry.best), milliseconds(entry.chosen), ...ratio];
      }),
    ]),
  };
}

function layersTable(runs: readonly Results[]): Table {
  const best = runs.map((run) => new Map(run.layers.map((layer) => [layer.name, bestOf(layer, run)])));
  const names = [...new Set(runs.flatMap(({ layers }) => layers.map(({ name }) => name)))];
  return {
    title: 'Each convolution with its fastest variant',
    columns: [
      text('layer'),
      ...runs.flatMap((_, i) => [
        text(`${letter(i)}`),
        numeric('ms'),
        numeric('GFLOP/s'),
        numeric('of the ceiling'),
        ...ratioColumn(i),
      ]),
    ],
    rows: names.map((name) => [
      name,
      ...best.flatMap((run, i) => {
        const speed = run.get(name);
        const first = best[0]?.get(name);
        const ratio = ratioCell(i, speed?.milliseconds, first?.milliseconds);
        if (!speed) return ['–', '–', '–', '–', ...ratio];
        const { gflops, ofCeiling } = speed;
        return [speed.name, milliseconds(speed.milliseconds), gflops.toFixed(1), percent(ofCeiling), ...ratio];
      }),
    ]),
  };
}

/** Every run but the first is held against that one. */
const ratioColumn = (i: number) => (i > 0 ? [numeric(`${letter(i)}/A`)] : []);

function ratioCell(i: number, own: number | undefined, first: number | undefined): string[] {
  if (i === 0) return [];
  return [own !== undefined && first !== undefined ? (own / first).toFixed(2) : '–'];
}

function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(0)} %`;
}

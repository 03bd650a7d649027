import type { Machine } from './machine.ts';
import type { Summary } from './statistics.ts';
import { judge, type Target } from './targets.ts';

export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

/** Text is set flush left, numbers flush right. */
export interface Column {
  readonly name: string;
  readonly numeric: boolean;
}

export interface Report {
  readonly command: string;
  readonly machine: Machine;
  /** How it was measured: runtimes with versions and settings, threads, rounds. */
  readonly conditions: readonly string[];
  readonly tables: readonly Table[];
  /** What a reader has to know besides: peers that were left out, and why. */
  readonly notes: readonly string[];
  /** Everything that was measured, for programs; undefined where it has been written already. */
  readonly measurements: unknown;
}

export const text = (name: string): Column => ({ name, numeric: false });
export const numeric = (name: string): Column => ({ name, numeric: true });

/** For terminals. */
export function renderText(report: Report): string {
  const { command, conditions, tables, notes } = report;
  return [
    `${command}: ${machineLine(report.machine)}`,
    ...conditions,
    ...tables.flatMap((table) => ['', table.title, ...alignedRows(table)]),
    ...(notes.length > 0 ? ['', ...notes] : []),
  ].join('\n');
}

/** As docs/performance.md has it. */
export function renderMarkdown({ machine, conditions, tables, notes }: Report): string {
  return [
    `*${[machineLine(machine), ...conditions].join('; ')}.*`,
    ...tables.map((table) => [`**${table.title}**`, '', ...markdownRows(table)].join('\n')),
    ...(notes.length > 0 ? [notes.map((note) => `- ${note}`).join('\n')] : []),
  ].join('\n\n');
}

function machineLine({ date, processor, cores, memoryGiB, system, node }: Machine): string {
  return `${date}, ${processor}, ${cores} cores, ${memoryGiB} GiB, ${system}, Node ${node}`;
}

function alignedRows({ columns, rows }: Table): string[] {
  const all = [columns.map(({ name }) => name), ...rows];
  const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0)));
  const pad = (cell: string, i: number) =>
    columns[i]?.numeric ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
  return all.map((row) => `  ${row.map(pad).join('  ')}`.trimEnd());
}

function markdownRows({ columns, rows }: Table): string[] {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = columns.map((column) => (column.numeric ? '---:' : '---'));
  return [line(columns.map(({ name }) => name)), `|${rule.join('|')}|`, ...rows.map(line)];
}

/** The columns of times, for `timeCells`. */
export const TIME_COLUMNS: readonly Column[] = [
  numeric('min, ms'),
  numeric('median, ms'),
  numeric('max/min'),
  text('steady'),
];

export function timeCells({ min, median, spread, noisy }: Summary): string[] {
  return [milliseconds(min), milliseconds(median), spread.toFixed(2), noisy ? 'noise' : 'yes'];
}

export function milliseconds(time: number): string {
  return time.toFixed(time < 10 ? 2 : 1);
}

/** The columns of a ratio and what was promised of it, for `targetCells`. */
export function targetColumns(ratio: string, { bound }: Pick<Target, 'bound'>): Column[] {
  return [numeric(ratio), numeric(bound), numeric('stretch'), text('')];
}

/** @param noisy whether any of the times behind the ratio is noise */
export function targetCells(ratio: number, target: Target | undefined, noisy: boolean): string[] {
  const limits = target ? [target.promised.toFixed(2), target.stretch?.toFixed(2) ?? '–'] : ['–', '–'];
  const verdict = [target ? judge(ratio, target) : '', noisy ? '(noise)' : ''].filter((word) => word !== '');
  return [ratio.toFixed(2), ...limits, verdict.join(' ')];
}

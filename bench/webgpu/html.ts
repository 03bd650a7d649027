import { escapeHtml } from '../../src/metrics/evaluation/charts.ts';
import type { Table } from '../report.ts';

/* What the pages of the benchmark have in common. */

export const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .6rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; } th { border-bottom: 2px solid #888; }
.number { text-align: right; }
svg { max-width: 100%; height: auto; } ul { padding-left: 1.2rem; font-size: 13px; overflow-wrap: anywhere; }
p.note { color: #555; font-size: 13px; }
`;

export function htmlList(lines: readonly string[]): string {
  return `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

export function htmlTable({ columns, rows }: Table): string {
  const cell = (tag: string, content: string, i: number) =>
    `<${tag}${columns[i]?.numeric ? ' class="number"' : ''}>${escapeHtml(content)}</${tag}>`;
  const line = (tag: string, cells: readonly string[]) =>
    `<tr>${cells.map((content, i) => cell(tag, content, i)).join('')}</tr>`;
  const head = line(
    'th',
    columns.map(({ name }) => name),
  );
  return `<table><thead>${head}</thead><tbody>${rows.map((cells) => line('td', cells)).join('')}</tbody></table>`;
}

import { describe, expect, it } from 'vitest';
import { numeric, type Report, renderMarkdown, renderText, targetCells, text, timeCells } from '../../bench/report.ts';
import { summarise } from '../../bench/statistics.ts';

const report: Report = {
  command: 'peers',
  machine: { date: '2026-11-23', processor: 'A', cores: 2, memoryGiB: 8, system: 'Linux', node: '20.11.0' },
  conditions: ['3 rounds', 'ours 0.1.0'],
  tables: [
    {
      title: 'Times',
      columns: [text('runtime'), numeric('ms')],
      rows: [
        ['ours', '9.50'],
        ['a|b', '120.0'],
      ],
    },
  ],
  notes: ['one is missing'],
  measurements: [],
};

describe('reports', () => {
  it('is aligned for a terminal', () => {
    expect(renderText(report).split('\n')).toEqual([
      'peers: 2026-11-23, A, 2 cores, 8 GiB, Linux, Node 20.11.0',
      '3 rounds',
      'ours 0.1.0',
      '',
      'Times',
      '  runtime     ms',
      '  ours      9.50',
      '  a|b      120.0',
      '',
      'one is missing',
    ]);
  });

  it('is Markdown for a page', () => {
    expect(renderMarkdown(report).split('\n')).toEqual([
      '*2026-11-23, A, 2 cores, 8 GiB, Linux, Node 20.11.0; 3 rounds; ours 0.1.0.*',
      '',
      '**Times**',
      '',
      '| runtime | ms |',
      '|---|---:|',
      '| ours | 9.50 |',
      '| a\\|b | 120.0 |',
      '',
      '- one is missing',
    ]);
  });

  it('says of times whether they can be trusted', () => {
    expect(timeCells(summarise([4, 4.2, 8]))).toEqual(['4.00', '4.20', '2.00', 'yes']);
    expect(timeCells(summarise([40, 60, 80]))).toEqual(['40.0', '60.0', '2.00', 'noise']);
  });

  it('says of a ratio what was promised and whether it holds', () => {
    const target = { bound: 'at most', promised: 0.4, stretch: 0.33 } as const;
    expect(targetCells(0.351, target, false)).toEqual(['0.35', '0.40', '0.33', 'met']);
    expect(targetCells(0.5, target, true)).toEqual(['0.50', '0.40', '0.33', 'missed (noise)']);
    expect(targetCells(2, undefined, false)).toEqual(['2.00', '–', '–', '']);
  });
});

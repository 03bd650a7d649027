import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { encodePng } from '../../src/image/encode.ts';
import { filledImage } from '../../src/image/image.ts';
import { escapeHtml, lineChart } from '../../src/metrics/evaluation/charts.ts';
import { fmgcam, MODEL, ON_CPU, temporaryFolder } from '../support/command.ts';
import { describeShared } from '../support/shared.ts';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const hasChromium = existsSync(CHROMIUM);
if (!hasChromium && process.env.CI) throw new Error(`CI must have ${CHROMIUM}`);

/** A name that would run a script on a page that does not escape it. */
const HOSTILE = `<img src=x onerror="document.title='hacked'">&amp;'.png`;

async function resultsOf(names: readonly string[], ...args: readonly string[]) {
  const folder = join(temporaryFolder(), 'images');
  mkdirSync(folder);
  for (const [i, name] of names.entries())
    writeFileSync(join(folder, name), await encodePng(filledImage(20 + i, 12, [40 * i, 200 - 30 * i, 90])));
  const out = join(folder, '..', 'results.jsonl');
  const quick = ['--size', '16', '--topk', '2', '--steps', '3', ...ON_CPU, ...args];
  const { status, stderr } = await fmgcam(['evaluate', folder, ...MODEL, ...quick, '--out', out]);
  expect(status, stderr.join('\n')).toBe(0);
  return { folder, out };
}

async function pageOf(results: string, ...args: readonly string[]) {
  const file = join(results, '..', 'report.html');
  const { status, stderr } = await fmgcam(['report', results, '--out', file, ...args]);
  expect(status, stderr.join('\n')).toBe(0);
  return { file, html: readFileSync(file, 'utf8'), stderr };
}

describeShared('report', () => {
  it('is a page of its own: tables, figure 6, curves, distributions, images; no scripts, no addresses', async () => {
    const { folder, out } = await resultsOf(['a.png', 'b.png', 'c.png'], '--protocol', 'described');
    const { html } = await pageOf(out, '--images', folder);
    for (const heading of [
      'Table 3',
      'Paired differences',
      'Figure 6',
      'Mean curves',
      'Distributions',
      'Best images',
      'Worst images',
      'Settings',
    ])
      expect(html).toContain(`<h2>${heading}`);
    for (const metric of ['IAUC', 'IC', 'DAUC', 'DC']) expect(html).toContain(`<title>Mean ${metric} (`);
    // Two images as best, one as worst; two methods, two ranks.
    expect(html.match(/<img src="data:image\/png;base64,/g)).toHaveLength(3 * 2 * 2);
    expect(html).not.toMatch(/<script|\son\w+=|style=|(?:src|href)="(?!data:)/);
    expect(html).toContain('<th>metrics.steps</th><td>3</td>');
  });

  it('the policy names the hash of the style sheet', async () => {
    const { out } = await resultsOf(['a.png'], '--protocol', 'described');
    const { html } = await pageOf(out);
    const [, style = ''] = /<style>([\s\S]*?)<\/style>/.exec(html) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    expect(html).toContain(`content="default-src 'none'; style-src 'sha256-${hash}'; img-src data:;`);
  });

  it('maps with NaN, images that are gone and images that failed leave the page whole', async () => {
    const { folder, out } = await resultsOf(['a.png', 'b.png'], '--protocol', 'published');
    const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
    const record = JSON.parse(lines[1] ?? '');
    for (const rank of record.ranks) Object.assign(rank, { map: null, ic: null, dc: null });
    const failed = JSON.stringify({ image: 'z.png', error: 'z.png: the file is empty' });
    writeFileSync(out, `${[lines[0], JSON.stringify(record), ...lines.slice(2), failed].join('\n')}\n`);
    const { html, stderr } = await pageOf(out, '--images', join(folder, 'nowhere'));
    expect(html).toContain('<p>the map has NaN</p>');
    expect(html).toContain('2 images; 1 more failed');
    const text = html.replace(/"data:[^"]*"/g, '').replaceAll('the map has NaN', '');
    expect(/NaN|undefined/.exec(text)).toBeNull();
    expect(stderr.join('\n')).toContain('its maps are shown alone');
  });

  it.skipIf(!hasChromium)(
    `in a browser, nothing breaks its policy and nothing is run${hasChromium ? '' : ' (skipped: no chromium)'}`,
    async () => {
      const { folder, out } = await resultsOf([HOSTILE, 'b.png'], '--protocol', 'described');
      const { file, html } = await pageOf(out, '--images', folder);
      expect(html).not.toContain('<img src=x');
      const browser = await chromium.launch({ executablePath: CHROMIUM, timeout: 30_000 });
      try {
        const page = await browser.newPage();
        const complaints: string[] = [];
        page.on('console', (message) => complaints.push(message.text()));
        page.on('pageerror', (error) => complaints.push(error.message));
        await page.goto(pathToFileURL(file).href);
        expect(complaints).toEqual([]);
        expect(await page.title()).toBe('FM-G-CAM evaluation: protocol described, resnet20-cifar10');
        expect(await page.locator('h3').allTextContents()).toContain(HOSTILE);
        const widths = await page
          .locator('img')
          .evaluateAll((images) => images.map((image) => (image as HTMLImageElement).naturalWidth));
        expect(widths).toEqual(new Array(2 * 2 * 2).fill(168));
        expect(await page.evaluate(() => getComputedStyle(document.body).maxWidth)).toBe('1100px');
      } finally {
        await browser.close();
      }
    },
  );

  it('refuses what is no results file, and a folder that is not there', async () => {
    const { out } = await resultsOf(['a.png'], '--protocol', 'described');
    const run = async (...args: string[]) => (await fmgcam(['report', ...args])).stderr.at(-1);
    expect(await run(join(out, '..', 'images', 'a.png'), '--out', 'x.html')).toMatch(/is no results file/);
    expect(await run(join(out, '..', 'none.jsonl'), '--out', 'x.html')).toMatch(/none\.jsonl: cannot be read/);
    expect(await run(out, '--out', '/nowhere/x.html')).toMatch(/is not a folder$/);
  });
});

describe('charts', () => {
  it('escape text', () => {
    expect(escapeHtml(`<a b="c">&'`)).toBe('&#60;a b=&#34;c&#34;&#62;&#38;&#39;');
  });

  it('draw larger values higher, later ones further right, and leave gaps', () => {
    const svg = lineChart([{ name: 'm', colour: '#000', values: [1, null, 3, 2] }], {
      title: 't',
      labels: ['1', '2', '3', '4'],
      xTitle: 'x',
    });
    const [, points = ''] = /points="([^"]*)"/.exec(svg) ?? [];
    const pairs = points.split(' ').map((pair) => pair.split(',').map(Number));
    expect(pairs).toHaveLength(3);
    const [[x1 = 0, y1 = 0] = [], [x2 = 0, y2 = 0] = [], [x3 = 0, y3 = 0] = []] = pairs;
    expect(x1 < x2 && x2 < x3).toBe(true);
    expect(y2 < y3 && y3 < y1).toBe(true);
  });

  it.each([[[5, 5]], [[0, 0]], [[-1e-9, 1e-9]], [[1e6, 3e6]], [[null, null]]])(
    'of %j has finite coordinates',
    (values) => {
      const svg = lineChart([{ name: 'm', colour: '#000', values }], { title: 't', labels: ['1', '2'], xTitle: 'x' });
      expect(svg).not.toMatch(/NaN|Infinity/);
    },
  );
});

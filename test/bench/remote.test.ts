import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Progress } from '../../bench/webgpu/host.ts';
import { bundle } from '../../bench/webgpu/remote/bundle.ts';
import { type Job, PATHS } from '../../bench/webgpu/remote/job.ts';
import { nameOfRuntime } from '../../bench/webgpu/remote/runtime.ts';
import { ResultsServer } from '../../bench/webgpu/remote/server.ts';
import { startBrowser } from '../../bench/webgpu/remote/start.ts';
import type { Results } from '../../bench/webgpu/results.ts';
import { UsageError } from '../../src/errors.ts';
import { results } from './results.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const job = { task: { models: ['resnet18'], rounds: 1 }, date: '2026-01-02', library: '1.2.3', machine: null };

describe('the server of results', () => {
  let saved: Results[];
  let lines: Progress[];
  let server: ResultsServer;

  beforeEach(async () => {
    [saved, lines] = [[], []];
    server = await ResultsServer.open({
      script: 'script()',
      job,
      before: undefined,
      save: (results) => saved.push(results),
      report: (progress) => lines.push(progress),
    });
  });
  afterEach(() => server.close());

  const post = (path: string, body: unknown, headers: Record<string, string> = JSON_TYPE) =>
    fetch(new URL(path, server.address), { method: 'POST', headers, body: JSON.stringify(body) });
  const begin = async (): Promise<Job> => JSON.parse(await (await post(PATHS.job, {})).text());

  it('has a page that may run nothing but its script, and is isolated', async () => {
    const { headers, ...page } = await fetch(server.address).then(async (r) => ({
      headers: r.headers,
      text: await r.text(),
    }));
    expect(page.text).toContain('<script type="module" src="page.js">');
    expect(headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
    expect(await (await fetch(new URL('page.js', server.address))).text()).toBe('script()');
    expect((await fetch(new URL('other', server.address))).status).toBe(404);
  });

  it('keeps what is posted, and ends when all is done', async () => {
    const { session, before, ...rest } = await begin();
    expect([before, rest]).toEqual([null, job]);
    const progress = { line: '1/2 a layer', done: 0, total: 2 };
    await post(PATHS.progress, { session, content: progress });
    await post(PATHS.results, { session, content: results });
    expect([lines, saved]).toEqual([[progress], [results]]);
    await post(PATHS.done, { session, content: null });
    expect(await server.finished).toEqual(results);
  });

  it('lets the last page that asked go on from there, and no other', async () => {
    const first = await begin();
    await post(PATHS.results, { session: first.session, content: results });
    const second = await begin();
    expect(second.before).toEqual(results);
    const late = await post(PATHS.results, { session: first.session, content: results });
    expect([late.status, await late.text()]).toEqual([409, 'another page goes on with the measurement']);
    expect(saved).toHaveLength(1);
  });

  it('says what went wrong there', async () => {
    const { session } = await begin();
    await post(PATHS.failed, { session, content: 'there is no adapter' });
    await expect(server.finished).rejects.toThrow('there is no adapter');
  });

  it('refuses what is no result, without an end', async () => {
    const { session } = await begin();
    const answer = await post(PATHS.results, { session, content: { ...results, version: 2 } });
    expect([answer.status, await answer.text()]).toEqual([
      400,
      'what was posted: these are no results of this version of the benchmark: version is not 1',
    ]);
    expect((await post(PATHS.results, [])).status).toBe(400);
    expect((await post(PATHS.progress, { session, content: 'a line' })).status).toBe(404);
    expect(saved).toEqual([]);
  });

  it('refuses other sites', async () => {
    expect((await post(PATHS.job, {}, { 'content-type': 'text/plain' })).status).toBe(400);
    const status = await new Promise((resolve) => {
      request(server.address, { headers: { host: 'example.org' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(status).toBe(403);
  });

  it('is no use to a browser that does not exist', async () => {
    const start = startBrowser('/nonexistent/chromium', server);
    await expect(start).rejects.toThrow(UsageError);
    await expect(start).rejects.toThrow('--browser /nonexistent/chromium: there is no such file');
  });
});

describe('the name of a browser', () => {
  const WEBKIT = 'AppleWebKit/537.36 (KHTML, like Gecko)';

  it.each([
    ['Deno/2.9.6', 'Deno 2.9.6'],
    [`Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} HeadlessChrome/156.0.0.0 Safari/537.36`, 'Chrome 156.0.0.0'],
    [`Mozilla/5.0 (Windows NT 10.0) ${WEBKIT} Chrome/156.0.0.0 Safari/537.36 Edg/156.0.1.2`, 'Edge 156.0.1.2'],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox 145.0'],
    ['Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15', 'Safari 26.1'],
    ['Something/1', 'Something/1'],
    ['', 'an unknown browser'],
  ])('in %s', (agent, name) => {
    expect(nameOfRuntime(agent)).toBe(name);
  });

  it('is that of the product, where it lists what it is made of', () => {
    const brands = [
      { brand: 'Not:A-Brand', version: '8.0.0.0' },
      { brand: 'Chromium', version: '156.0.8078.79' },
    ];
    expect(nameOfRuntime('', brands)).toBe('Chromium 156.0.8078.79');
    expect(nameOfRuntime('', [...brands, { brand: 'Google Chrome', version: '156.1' }])).toBe('Google Chrome 156.1');
  });
});

describe('what runs elsewhere', () => {
  it.each(['page', 'deno'] as const)('reaches no module of Node: %s', async (entry) => {
    expect(await bundle(entry)).not.toMatch(/\b(?:import|require)\b[^\n]*["']node:/);
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, chromium, type Page, type Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeImage } from '../../src/image/decode.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { at } from '../../src/tensor/shape.ts';
import { expectedValues } from '../image/support.ts';
import { describeShared, shared } from '../support/shared.ts';
import { CHOICES, expectResults, expectVariants, KERNELS, TOLERANCE } from '../support/smoke-check.ts';

/* The built package, bundled as a page's author would, in a headless Chromium under a strict Content-Security-Policy. */

const CHROMIUM = '/usr/bin/chromium';
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
const PAGE = '<!doctype html><title>smoke</title><script type="module" src="page.js"></script>';
/** What a worker of the CPU device loads; it lies beside the page's script. */
const WORKER = fileURLToPath(new URL('../../dist/kernels/cpu/threads/worker-browser.js', import.meta.url));
const WASM = createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm');

const { images } = expectedValues<{ images: { title: string; file: string; pixels: string }[] }>('decode.json');

/** What page.ts puts into the global object of the page. */
declare const checks: typeof import('./page.ts').checks;

const missing = existsSync(CHROMIUM) ? undefined : `no ${CHROMIUM}`;
if (missing && process.env.CI) throw new Error(`CI must have a browser: ${missing}`);

describe.skipIf(missing !== undefined)(missing ? `a page (skipped: ${missing})` : 'a page', () => {
  let server: Server | undefined;
  let browser: Browser | undefined;
  let page: Page;
  const complaints: string[] = [];

  async function openPage(prepare: (page: Page) => Promise<unknown> | unknown, path = ''): Promise<Page> {
    if (!server || !browser) throw new Error('the browser is started before a page is opened');
    const page = await browser.newPage();
    await prepare(page);
    const { port } = server.address() as AddressInfo;
    await page.goto(`http://localhost:${port}/${path}`, { timeout: 120_000 });
    return page;
  }

  beforeAll(async () => {
    server = await serve(await bundle(local('page.ts')), await bundle(WORKER));
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
      timeout: 120_000,
    });
    page = await openPage(async (page) => {
      // Chromium prints no breach of the policy that the script catches.
      await page.addInitScript(() =>
        addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
          console.error(`Content-Security-Policy: ${violatedDirective} forbids ${blockedURI}`),
        ),
      );
      page.on('console', (message) => complaints.push(message.text()));
      page.on('pageerror', (error) => complaints.push(String(error)));
    });
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  const golden = [
    {
      file: 'resnet20-dog-cat-64-layer3.2-top5',
      photo: 'images/dog-cat.jpg',
      options: { size: 64, layer: 'layer3.2', topK: 5 },
    },
    {
      file: 'resnet20-coco78-48-layer2.2.conv2-top3',
      photo: 'images/coco-000000000078.jpg',
      options: { size: 48, layer: 'layer2.2.conv2', topK: 3 },
    },
  ];
  describeShared('with a trained network', () => {
    it.each(['cpu', 'webgpu'] as const)('explains photographs on %s as PyTorch does', async (kind) => {
      const explanations = await page.evaluate(([kind, cases]) => checks.explain(kind, cases), [kind, golden] as const);
      expect(explanations.length).toBe(golden.length);
      for (const [i, explained] of explanations.entries()) {
        const { file } = at(golden, i);
        const expected = parseSafetensors(shared(`golden/${file}.safetensors`), file);
        const valuesOf = (key: string) => Array.from(expected.get(key)?.data ?? []);
        const top = valuesOf('top');
        const probabilities = valuesOf('probs');
        expect(explained.classes.map(({ index }) => index)).toEqual(top);
        expectNear(
          explained.classes.map(({ probability }) => probability),
          top.map((index) => at(probabilities, index)),
        );
        expectNear(explained.maps, valuesOf('fm_g_cam'));
        expect(explained.blocksLeft).toBe(0);

        const { width, height, data } = await decodeImage(fromBase64(explained.png), 'the picture');
        expect({ width, height, data: toBase64(data) }).toEqual(explained.picture);
      }
    });
  });

  it('decodes to the pixels that PIL gives', async () => {
    const decoded = await page.evaluate(
      (files) => checks.decode(files),
      images.map(({ file }) => file),
    );
    expect(Object.fromEntries(images.map(({ title }, i) => [title, decoded[i]]))).toEqual(
      Object.fromEntries(images.map(({ title, pixels }) => [title, pixels])),
    );
  });

  it('computes the same with every kernel on both devices', async () => {
    const webgpu = await page.evaluate(() => checks.runKernels('webgpu'));
    const cpu = await page.evaluate(() => checks.runKernels('cpu'));
    expect(Object.keys(webgpu.results)).toEqual(Object.keys(cpu.results));
    expectResults(webgpu.results, cpu.results);
    expect([webgpu.kernels, cpu.kernels]).toEqual([KERNELS, KERNELS]);
  });

  it('computes the same with every variant of the kernels', async () => {
    const variants = await page.evaluate((choices) => checks.runVariants(choices), CHOICES);
    const cpu = await page.evaluate(() => checks.runKernels('cpu'));
    expectVariants(variants, cpu.results, ['shader-f16']);
  });

  it('shares the work between threads where memory can be shared, with the same results', async () => {
    const alone = await page.evaluate(() => checks.runOnThreads(2));
    expect(alone).toMatchObject({ isolated: false, threads: 1 });
    const isolated = await openPage(() => {}, 'isolated');
    const shared = await isolated.evaluate(() => checks.runOnThreads(2));
    await isolated.close();
    expect(shared).toMatchObject({ isolated: true, threads: 2 });
    expect(shared.results).toEqual([alone.results[0], alone.results[0]]);
  });

  it('works on one thread where the file of the workers was not deployed', async () => {
    const isolated = await openPage(
      (page) => page.route('**/worker-browser.js', (route) => route.fulfill({ status: 404 })),
      'isolated',
    );
    const { threads, results } = await isolated.evaluate(() => checks.runOnThreads(2));
    await isolated.close();
    expect(threads).toBe(1);
    expect(results[1]).toEqual(results[0]);
  });

  it('has printed nothing, kept to the policy, and thrown nothing that was not caught', async () => {
    await page.evaluate(() => new Promise((resolve) => setTimeout(resolve))); // what it printed arrives before this
    expect(complaints).toEqual([]);
  });

  it('was under the policy, and would have been heard', async () => {
    expect(await page.evaluate(() => checks.runText())).toContain('EvalError');
    await expect.poll(() => complaints).toEqual(['Content-Security-Policy: script-src forbids eval']);
  });

  describe('where the server has the JPEG decoder', () => {
    const { file, pixels } = at(
      images.filter(({ title }) => title === 'jpeg 4:2:0'),
      0,
    );
    const decodeWith = async (answer: Parameters<Route['fulfill']>[0]) => {
      const page = await openPage((page) => page.route('**/mozjpeg_dec.wasm', (route) => route.fulfill(answer)));
      return page.evaluate((file) => checks.decode([file]), file);
    };

    it('under another type, decodes', async () => {
      expect(await decodeWith({ body: readFileSync(WASM), contentType: 'application/octet-stream' })).toEqual([pixels]);
    });

    it('not at all, says what to do', async () => {
      await expect(decodeWith({ status: 404 })).rejects.toThrow('serve mozjpeg_dec.wasm of @jsquash/jpeg beside');
    });
  });
});

/** One script of a file and the package. It cannot be bundled if it reaches a module of Node. */
async function bundle(file: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
  });
  return at(outputFiles, 0).text;
}

async function serve(script: string, worker: string): Promise<Server> {
  const files: Record<string, [type: string, content: () => string | Buffer]> = {
    '/': ['text/html', () => PAGE],
    '/isolated': ['text/html', () => PAGE],
    '/worker-browser.js': ['text/javascript', () => worker],
    '/page.js': ['text/javascript', () => script],
    '/mozjpeg_dec.wasm': ['application/wasm', () => readFileSync(WASM)],
  };
  const server = createServer(({ url = '' }, response) => {
    const [type, content] = files[url] ?? ['application/octet-stream', () => shared(url.slice(1))];
    const isolation = {
      'cross-origin-embedder-policy': 'require-corp',
      ...(url === '/isolated' && { 'cross-origin-opener-policy': 'same-origin' }),
    };
    response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY, ...isolation }).end(content());
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return server;
}

function local(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

/** Absolutely. */
function expectNear(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(at(actual, i) - value)).toBeLessThanOrEqual(TOLERANCE);
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function fromBase64(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}

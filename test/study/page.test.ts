import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { explain } from '../../src/cam/explain-image.ts';
import type { StepName } from '../../src/cam/trace.ts';
import { trace } from '../../src/cam/trace.ts';
import { UsageError } from '../../src/errors.ts';
import { preprocess, squash } from '../../src/image/preprocess.ts';
import { type Device, openDevice, tensor } from '../../src/kernels/index.ts';
import { Model } from '../../src/nn/model.ts';
import { type StudyOptions, studyPage } from '../../src/study/page.ts';
import { withScope } from '../../src/tensor/scope.ts';
import { at, type Shape } from '../../src/tensor/shape.ts';
import { noise } from '../image/support.ts';
import { temporaryFile } from '../support/command.ts';
import { randomModel } from '../support/random-model.ts';

/* The page as a reader opens it: from disk, in a headless Chromium that has no network. */

const CHROMIUM = '/usr/bin/chromium';
const missing = existsSync(CHROMIUM) ? undefined : `no ${CHROMIUM}`;
if (missing && process.env.CI) throw new Error(`CI must have a browser: ${missing}`);

const PANELS = [
  ...['input', 'activations', 'classes', 'gradients', 'importance', 'class-maps', 'winners', 'fused', 'normalised'],
  ...['without-norm', 'activation', 'overlay', 'grad-cam', 'departures'],
];
/** In both columns. */
const COMPARED = PANELS.slice(4, 12);

const HOSTILE = `</script><script>document.title = 'broken'</script><img src=x onerror="alert(1)">&"'`;
const PHOTO = noise(40, 30);
const SIZE = 16;

const plain = randomModel();
const hostile = new Model(
  plain.name,
  plain.module,
  plain.labels.map((label, n) => (n === 3 ? HOSTILE : label)),
);

let device: Device;
beforeAll(async () => {
  device = (await openDevice('cpu')).device;
  return () => device.destroy();
});

const textOf = async (locator: Locator) => (await locator.textContent()) ?? '';

const pageOf = (options: Partial<StudyOptions>, model = plain) =>
  studyPage(model, PHOTO, { device, size: SIZE, file: 'noise.png', ...options });

/** A step of the same trace. */
async function stepOf(wanted: StepName, options: Partial<StudyOptions>): Promise<{ data: number[]; shape: Shape }> {
  const { input, shape } = preprocess(PHOTO, squash(SIZE));
  return withScope(async (scope) => {
    for await (const { name, tensor: step } of trace(plain, tensor(device, input, shape, { scope }), options)) {
      if (name === wanted) return { data: Array.from(await step.data()), shape: step.shape };
    }
    throw new Error(`the trace has no step ${wanted}`);
  });
}

describe('the page', () => {
  it('holds neither the file name nor a class name as markup', async () => {
    const text = await pageOf({ classes: [3, 0], file: HOSTILE }, hostile);
    expect(text).not.toContain("<script>document.title = 'broken'");
    expect(text).not.toContain('<img src=x');
    expect(text.match(/<script/g)).toHaveLength(1);
  });

  it('is the same for what is explained already, for which the network does not run again', async () => {
    using explained = await explain(plain, PHOTO, { device, size: SIZE, topK: 2 });
    const forward = vi.spyOn(plain, 'forward');
    expect(await studyPage(plain, explained, { file: 'noise.png' })).toBe(await pageOf({ topK: 2 }));
    expect(forward).toHaveBeenCalledTimes(1);
    forward.mockRestore();
  });

  it('refers to nothing outside of itself', async () => {
    const text = await pageOf({ topK: 2 });
    for (const [, url = ''] of text.matchAll(/(?:src|href)="([^"]*)"/g)) expect(url).toMatch(/^(data:image\/png|#)/);
    expect(text).not.toMatch(/https?:|@import|url\(/);
  });

  it('frees what it computes, and refuses what explain refuses', async () => {
    plain.release(device);
    const before = device.memory().blocks;
    await pageOf({ topK: 2 });
    await expect(pageOf({ topK: 0 })).rejects.toThrow(UsageError);
    await expect(pageOf({ preset: 'IMAGENET1K_V1' })).rejects.toThrow('give either size or preset');
    plain.release(device);
    expect(device.memory().blocks).toBe(before);
  });

  it('leaves the values of a large input out', async () => {
    const text = await pageOf({ topK: 1, size: 260, layer: 'layer3' });
    expect(text).toContain('values are left out above 65536 pixels');
    expect(text.length).toBeLessThan(3e6);
  });
});

describe.skipIf(missing !== undefined)(missing ? `in a browser (skipped: ${missing})` : 'in a browser', () => {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, timeout: 30_000 });
  });
  afterAll(() => browser?.close());

  /** Opens a page, and fails if it complains or asks for anything. */
  async function open(text: string, use: (page: Page) => Promise<void>, viewport = { width: 1280, height: 900 }) {
    if (!browser) throw new Error('the browser is started before a page is opened');
    const complaints: string[] = [];
    const page = await browser.newPage({ viewport, offline: true });
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!/^(file|data):/.test(request.url())) complaints.push(request.url());
    });
    await page.addInitScript(() =>
      addEventListener('securitypolicyviolation', ({ violatedDirective }) => console.error(violatedDirective)),
    );
    await page.goto(pathToFileURL(temporaryFile('trace.html', text)).href);
    await use(page);
    expect(complaints).toEqual([]);
    await page.close();
  }

  /** Points at a value of a frame, given by its label, and reads the number below the picture. */
  async function pointAt(page: Page, panel: string, label: string, [row, column]: readonly [number, number]) {
    const frame = page.locator(`#${panel} .frame[aria-label^="${label}"]`).first();
    await frame.scrollIntoViewIfNeeded();
    const box = await frame.boundingBox();
    const [rows = 1, columns = 1] = ((await frame.getAttribute('data-grid')) ?? '').split(' ').map(Number);
    if (!box) throw new Error(`${label} has no size`);
    await page.mouse.move(box.x + ((column + 0.5) / columns) * box.width, box.y + ((row + 0.5) / rows) * box.height);
    return textOf(frame.locator('xpath=..').locator('.value'));
  }

  it.each([1, 5])('shows all panels for K = %d, in both columns', async (topK) => {
    await open(await pageOf({ topK }), async (page) => {
      expect(await page.locator('section').evaluateAll((sections) => sections.map(({ id }) => id))).toEqual(PANELS);
      for (const id of PANELS.slice(0, -1)) {
        const columns = page.locator(`#${id} .column`);
        expect(await columns.count(), id).toBe(COMPARED.includes(id) ? 2 : 1);
        for (const column of await columns.all()) {
          expect(await column.locator('math').count(), id).toBeGreaterThan(0);
          expect(await textOf(column.locator('.by code').first()), id).not.toBe('');
        }
        const sizes = await page
          .locator(`#${id} img`)
          .evaluateAll((images) => images.map((image) => image.clientWidth));
        for (const size of sizes) expect(size, id).toBeGreaterThan(20);
      }
      const alts = await page
        .locator('.frame img')
        .evaluateAll((images) => images.map((image) => image.getAttribute('alt')));
      for (const alt of alts) expect(alt).toBeTruthy();
      expect(await page.locator('#class-maps .frame').count()).toBe(2 * topK);
    });
  });

  it('shows the number under the pointer', async () => {
    const options = { classes: [4, 1, 6] };
    const R = await stepOf('R', options);
    const reference = await stepOf('reference_R', options);
    const alpha = await stepOf('alpha', options);
    const input = await stepOf('input', options);
    const winner = await stepOf('winner', options);
    const [, , I = 0, J = 0] = R.shape;
    await open(await pageOf(options), async (page) => {
      for (const place of [
        [0, 0],
        [1, 2],
        [I - 1, J - 1],
      ] as const) {
        const pixel = place[0] * J + place[1];
        for (const [k, index] of options.classes.entries()) {
          const name = at(plain.labels, index);
          const text = await pointAt(page, 'class-maps', `R of ${name},`, place);
          expect(Math.fround(Number(text))).toBe(at(R.data, k * I * J + pixel));
        }
        // The other column follows.
        const other = page.locator('#class-maps .column').nth(1).locator('.value').nth(2);
        expect(Math.fround(Number(await textOf(other)))).toBe(at(reference.data, 2 * I * J + pixel));
        const name = at(plain.labels, at(options.classes, at(winner.data, pixel)));
        expect(await pointAt(page, 'winners', 'Winner', place)).toBe(name);
      }
      const C = at(alpha.shape, 2);
      const channel = await pointAt(page, 'importance', 'Channel importance of', [0, C - 2]);
      expect(Math.fround(Number(channel))).toBe(at(alpha.data, C - 2));
      const colours = (await pointAt(page, 'input', 'Input', [3, 9])).split(', ').map(Number);
      expect(colours.map(Math.fround)).toEqual([0, 1, 2].map((c) => at(input.data, (c * SIZE + 3) * SIZE + 9)));
    });
  });

  it('is read with the keyboard alone', async () => {
    const R = await stepOf('R', { topK: 2 });
    const J = at(R.shape, 3);
    await open(await pageOf({ topK: 2 }), async (page) => {
      const frame = page.locator('#class-maps .frame').first();
      await frame.focus();
      for (const key of ['Home', 'ArrowUp', 'ArrowUp', 'ArrowUp', 'ArrowUp', 'ArrowRight', 'ArrowDown']) {
        await page.keyboard.press(key);
      }
      const status = await textOf(page.locator('#status'));
      const [place, value] = status.split(': ');
      expect(place).toBe('row 1, column 1');
      expect(Math.fround(Number(value))).toBe(at(R.data, J + 1));
    });
  });

  it('starts at the peak of the fused map', async () => {
    const { data, shape } = await stepOf('fm_g_cam_relu', { topK: 2 });
    const [, , I = 0, J = 0] = shape;
    const peak = data.indexOf(Math.max(...data)) % (I * J);
    await open(await pageOf({ topK: 2 }), async (page) => {
      const place = await textOf(page.locator('[data-place="pixel"]').first());
      expect(place).toBe(`row ${Math.floor(peak / J)}, column ${peak % J}`);
    });
  });

  it('fits the width of a phone', async () => {
    await open(
      await pageOf({ topK: 5 }),
      async (page) => {
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
      },
      { width: 360, height: 800 },
    );
  });

  it('shows a name that is markup as text', async () => {
    await open(await pageOf({ classes: [3, 0], file: HOSTILE }, hostile), async (page) => {
      expect(await page.title()).toBe(`FM-G-CAM of ${HOSTILE}, step by step`);
      expect(await textOf(page.locator('#class-maps .class').first())).toBe(HOSTILE);
      expect(await page.locator('section').count()).toBe(PANELS.length);
    });
  });
});

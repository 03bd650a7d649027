import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readResults, resultsSoFar, writeResults } from '../../bench/webgpu/files.ts';
import { chooseRuns, layersOf } from '../../bench/webgpu/measure.ts';
import { comparisonPage } from '../../bench/webgpu/page.ts';
import { STEPS, speedOf } from '../../bench/webgpu/results.ts';
import { type Schema, violation } from '../../bench/webgpu/schema.ts';
import { bestOf, layersTable, networkTimes } from '../../bench/webgpu/tables.ts';
import { InputError } from '../../src/errors.ts';
import { layer, results } from './results.ts';

describe('what speed a variant has', () => {
  const [register, , rejected] = layer.variants;

  it('is the fastest run by the GPU’s clock, against the longer of two floors', () => {
    // 200 MFLOP at 100 GFLOP/s are 2 ms; 2 MB at 10 GB/s are 0.2.
    expect(register && speedOf(layer, register, results)).toEqual({
      milliseconds: 10,
      clock: 'gpu',
      gflops: 20,
      gigabytesPerSecond: 0.2,
      floor: 2,
      ofCeiling: 0.2,
    });
    const slowMemory = { ...results, ceilings: { ...results.ceilings, gigabytesPerSecond: 0.5 } };
    expect(register && speedOf(layer, register, slowMemory)?.floor).toBe(4);
  });

  it.each([1e6, null])('is by the host’s clock where timestamps have steps of %s ns', (timestampStep) => {
    const coarse = { ...results, adapter: { ...results.adapter, timestampStep } };
    expect(register && speedOf(layer, register, coarse)).toMatchObject({ clock: 'wall', milliseconds: 11 });
  });

  it('is by the GPU’s clock where enough runs share a coarse step', () => {
    const coarse = { ...results, adapter: { ...results.adapter, timestampStep: 1e6 } };
    const clock = (resolution: number) => register && speedOf(layer, { ...register, resolution }, coarse)?.clock;
    expect([clock(1 / 10), clock(1 / 4)]).toEqual(['gpu', 'wall']);
  });

  it('is none where it was rejected; the best is of the others', () => {
    expect(rejected && speedOf(layer, rejected, results)).toBeUndefined();
    expect(bestOf(layer, results)).toMatchObject({ name: 'subgroup', milliseconds: 5 });
  });

  it('adds up to networks, as often as they have a layer', () => {
    const other = { ...layer, name: 'another', networks: { resnet50: 1 } };
    expect(networkTimes({ ...results, layers: [layer, other] })).toEqual([
      { network: 'resnet18', best: 20, chosen: 40, floor: 8 },
      { network: 'resnet50', best: 20, chosen: 40, floor: 8 },
    ]);
  });

  it('is a row for each variant', () => {
    const { columns, rows } = layersTable(results);
    expect(rows.map(([, name]) => name)).toEqual(['register *', 'subgroup', 'workgroup-32x32']);
    expect(rows[0]).toHaveLength(columns.length);
    expect(rows[2]?.at(-1)).toBe('rejected: its error is too large');
  });
});

describe('the number of runs between two timestamps', () => {
  /** A GPU that takes so many milliseconds for a run, and as many for an answer. */
  function gpu(each: number, answer: number, step: number) {
    let last = 0;
    const time = async (runs: number) => {
      last = runs * each;
      return each + answer / runs;
    };
    const rounded = (milliseconds: number) => Math.floor((milliseconds * 1e6) / step) * step;
    return { time, step, take: async () => ({ milliseconds: rounded(last) / 1e6, passes: 1 }) };
  }

  it('is one where a run takes long', async () => {
    const slow = gpu(30, 1, 1);
    expect(await chooseRuns(slow, undefined)).toEqual({ runs: 1 });
    expect(await chooseRuns(slow, slow)).toEqual({ runs: 1, resolution: 1e-6 });
  });

  it('grows until neither the answer nor the steps weigh', async () => {
    const random = fc.record({
      each: fc.double({ min: 0.05, max: 5, noNaN: true }),
      answer: fc.double({ min: 0, max: 3, noNaN: true }),
      step: fc.constantFrom(1, 65_536, 1_000_000),
    });
    await fc.assert(
      fc.asyncProperty(random, async ({ each, answer, step }) => {
        const device = gpu(each, answer, step);
        const { runs, resolution = 0 } = await chooseRuns(device, device);
        expect(runs * each + answer).toBeGreaterThanOrEqual(20);
        // One step was rounded away.
        if (runs < 1000) expect(each / resolution).toBeGreaterThanOrEqual(STEPS);
      }),
      { numRuns: 50 },
    );
  });

  it('ends where no number is enough', async () => {
    const none = gpu(1e-6, 0, 1e6);
    expect(await chooseRuns(none, none)).toEqual({ runs: 1000, resolution: 1 / 1000 });
  });
});

describe('the file of results', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fmgcam-bench-'));
  const file = join(folder, 'results.json');
  afterAll(() => rmSync(folder, { recursive: true }));

  it('comes back as it was written', () => {
    expect(resultsSoFar(file)).toBeUndefined();
    writeResults(file, results);
    expect(resultsSoFar(file)).toEqual(results);
  });

  it.each<[string, unknown]>([
    ['version is not 1', { ...results, version: 2 }],
    ['it has no "adapter"', { ...results, adapter: undefined }],
    ['layers.0.bytes is no number', { ...results, layers: [{ ...layer, bytes: '1' }] }],
    ['layers.0.networks.resnet18 is below 1', { ...results, layers: [{ ...layer, networks: { resnet18: 0 } }] }],
    ['host.cores is no integer', { ...results, host: { ...results.host, cores: 1.5 } }],
    ['ceilings.gflops is not above 0', { ...results, ceilings: { ...results.ceilings, gflops: 0 } }],
    ['adapter.limits has no "max', { ...results, adapter: { ...results.adapter, limits: {} } }],
    ['layers.0.variants.0.rejected is no string or null', withVariant({ rejected: false })],
    ['it is no object', []],
  ])('is refused by name: %s', (message, content) => {
    writeFileSync(file, JSON.stringify(content));
    expect(() => readResults(file)).toThrow(InputError);
    expect(() => readResults(file)).toThrow(
      `${file}: these are no results of this version of the benchmark: ${message}`,
    );
  });

  it('is refused where it is no JSON', () => {
    writeFileSync(file, '{');
    expect(() => readResults(file)).toThrow(`${file}: cannot be read as JSON`);
  });

  function withVariant(change: object) {
    return { ...results, layers: [{ ...layer, variants: [{ ...layer.variants[0], ...change }] }] };
  }
});

describe('the schema check', () => {
  const schema: Schema = { type: 'object', required: ['a'], additionalProperties: { items: { type: ['null'] } } };

  it.each([
    [{ a: [null] }, undefined],
    [{ a: 'no list' }, undefined],
    [{ a: [null, 1] }, 'a.1 is no null'],
    [{ b: [] }, 'it has no "a"'],
    [null, 'it is no object'],
  ])('of %j', (value, expected) => {
    expect(violation(value, schema)).toBe(expected);
  });
});

describe('the page', () => {
  it('shows every run, and nothing that a file could smuggle in', () => {
    const page = comparisonPage([results, results], [layersTable(results)]);
    expect(page).toContain('A: &#60;card&#62; &#38; driver 1.0');
    expect(page).not.toContain('<card>');
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
    // Roofline, B against A, variants of both.
    expect(page.match(/<svg /g)).toHaveLength(4);
    expect(page).toContain('B/A is 1.00 in the geometric mean');
  });
});

describe('the layers of networks', () => {
  const target = { software: true, subgroups: undefined, workgroupThreads: 256, workgroupBytes: 16384 };

  it('are counted in each', () => {
    const layers = layersOf(['resnet18', 'resnet34'], target);
    const count = (network: string) => layers.reduce((sum, { networks }) => sum + (networks[network] ?? 0), 0);
    expect([count('resnet18'), count('resnet34')]).toEqual([20, 36]);
    expect(layers[0]?.name).toBe('7x7 3→64, 224x224 to 12544 pixels');
  });
});

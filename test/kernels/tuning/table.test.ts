import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cacheFolder } from '../../../src/cache-folder.ts';
import { emptyTable, fastest, measuredOn, parseTable, productKey } from '../../../src/kernels/tuning/table.ts';
import { chooseTiling, obstacle, requireTiling, TILINGS } from '../../../src/kernels/webgpu/tiles.ts';

const adapter = { vendor: 'maker', architecture: 'first', device: 'card', description: 'card, driver 1.0' };
const target = { software: true, subgroups: { min: 8, max: 8 }, workgroupThreads: 256, workgroupBytes: 16384 };
const size = { groups: 1, channels: 64, pixels: 3136, depth: 576 };
const tableOf = (trials: Parameters<typeof measuredOn>[1]) => ({ ...emptyTable(adapter, '1.2.3'), ...trials });

describe('a tuning table', () => {
  const trial = { times: { register: 2, 'workgroup-32x32': 1.5 }, rejected: { subgroup: 'differs' } };
  const table = tableOf({ trials: { [productKey(size)]: trial } });

  it('comes back from its text', () => {
    expect(parseTable(JSON.stringify(table), 'table.json')).toEqual(table);
  });

  it.each([
    ['{"format": ', 'Unexpected end of JSON input'],
    ['[]', 'its "format" is not'],
    [{ ...table, format: 'fm-g-cam tuning 0' }, 'its "format" is not'],
    [{ ...table, adapter: { vendor: 'maker' } }, 'no "adapter"'],
    [{ ...table, library: 1 }, 'no "library"'],
    [{ ...table, trials: [] }, 'no "trials"'],
    [tableOf({ trials: { a: { times: { register: -1 }, rejected: {} } } }), 'the trial "a"'],
    [{ ...table, trials: { a: { times: { square: 1 }, rejected: {} } } }, 'the trial "a"'],
    [{ ...table, trials: { a: { times: {} } } }, 'the trial "a"'],
  ])('is refused, in one line that names the file: %j', (content, message) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    expect(() => parseTable(text, 'table.json')).toThrow(`table.json: is no tuning table: ${message}`);
  });

  it('decides before what is known of such adapters, for the products that it has', () => {
    const tuned = { ...target, ...measuredOn(adapter, table) };
    expect(chooseTiling(tuned, size)).toEqual({
      tiling: 'workgroup-32x32',
      reason: '1.50 ms, the fastest by fmgcam tune',
    });
    expect(chooseTiling({ ...target, ...measuredOn(adapter) }, size).reason).toMatch(/^a software driver/);
    expect(chooseTiling({ ...tuned, tiling: 'register' }, size).reason).toBe('asked for');
  });

  it('keeps a tiling from being chosen that was wrong once, or asked for', () => {
    const tuned = { ...target, ...measuredOn(adapter, table) };
    expect(chooseTiling(tuned, { ...size, depth: 1 }).tiling).toBe('register');
    expect(() => requireTiling('subgroup', tuned)).toThrow('cannot run the tiles subgroup: it failed');
  });

  it('chooses the fastest of those that are correct, and none that the adapter cannot run', () => {
    const times = fc.dictionary(fc.constantFrom(...TILINGS), fc.double({ min: 1e-3, max: 1e3, noNaN: true }));
    fc.assert(
      fc.property(times, fc.boolean(), (times, withoutSubgroups) => {
        const rejected = Object.fromEntries(TILINGS.filter((name) => !(name in times)).map((name) => [name, 'wrong']));
        const trial = { times, rejected };
        const facts = withoutSubgroups ? { ...target, subgroups: undefined } : target;
        const tuned = { ...facts, ...measuredOn(adapter, { trials: { [productKey(size)]: trial } }) };
        const runnable = TILINGS.filter((name) => !obstacle(name, tuned));
        if (runnable.length === 0) {
          expect(() => chooseTiling(tuned, size)).toThrow('no convolution is right on this adapter');
          return;
        }
        const { tiling } = chooseTiling(tuned, size);
        expect(runnable).toContain(tiling);
        const best = fastest(trial);
        expect(best?.milliseconds).toBe(Math.min(...Object.values(times)));
        if (best && runnable.includes(best.tiling)) expect(tiling).toBe(best.tiling);
      }),
    );
  });
});

describe('the cache folder', () => {
  it.each([
    ['linux', {}, '/home/ada/.cache/fm-g-cam'],
    ['linux', { XDG_CACHE_HOME: '/scratch' }, '/scratch/fm-g-cam'],
    ['linux', { XDG_CACHE_HOME: 'relative' }, '/home/ada/.cache/fm-g-cam'],
    ['darwin', { XDG_CACHE_HOME: '/scratch' }, '/home/ada/Library/Caches/fm-g-cam'],
    ['win32', { LOCALAPPDATA: '/local' }, '/local/fm-g-cam/Cache'],
    ['win32', {}, '/home/ada/AppData/Local/fm-g-cam/Cache'],
  ] as const)('on %s with %j', (platform, env, folder) => {
    expect(cacheFolder(platform, env, '/home/ada')).toBe(folder);
  });
});

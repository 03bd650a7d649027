import { describe, expect, it } from 'vitest';
import { COMMANDS, parseOptions, USAGE } from '../../bench/options.ts';
import { UsageError } from '../../src/errors.ts';

describe('options of the benchmark', () => {
  it('has defaults for each command', () => {
    expect(parseOptions(['peers'])).toEqual({
      command: 'peers',
      models: ['resnet50', 'resnet18'],
      device: 'cpu',
      place: 'node',
      threads: [1, 2],
      rounds: 10,
      markdown: false,
      files: [],
    });
    expect(parseOptions(['cam']).threads).toEqual([2]);
  });

  it('takes lists, each entry once', () => {
    const args = [
      'peers',
      '--model',
      'resnet18, resnet18',
      '--threads',
      '4,1,4',
      '--rounds',
      '3',
      '--json',
      'out.json',
    ];
    expect(parseOptions([...args, '--markdown'])).toEqual({
      command: 'peers',
      models: ['resnet18'],
      device: 'cpu',
      place: 'node',
      threads: [4, 1],
      rounds: 3,
      json: 'out.json',
      markdown: true,
      files: [],
    });
  });

  it('takes files for a comparison, and models that no peer has for the GPU', () => {
    const args = ['compare', 'a.json', 'b.json', '--out', 'page.html'];
    expect(parseOptions(args)).toMatchObject({ files: ['a.json', 'b.json'], out: 'page.html' });
    expect(parseOptions(['webgpu']).models).toEqual(['resnet18', 'resnet50', 'densenet121']);
    expect(parseOptions(['webgpu', '--model', 'resnet18v2']).models).toEqual(['resnet18v2']);
  });

  it('takes a device where it can be chosen', () => {
    for (const command of ['peers', 'kernels', 'cam', 'cold'])
      expect(parseOptions([command, '--device', 'webgpu']).device).toBe('webgpu');
  });

  it('takes where to measure on the GPU, and which layers', () => {
    const args = ['webgpu', '--in', 'browser', '--browser', '/path/to/chromium', '--only', '1x1 64'];
    expect(parseOptions(args)).toMatchObject({ place: 'browser', browser: '/path/to/chromium', only: '1x1 64' });
    expect(parseOptions(['webgpu', '--in', 'deno']).place).toBe('deno');
    expect(parseOptions(['webgpu'])).toMatchObject({ place: 'node' });
  });

  it('explains every command', () => {
    for (const command of Object.keys(COMMANDS)) expect(USAGE).toContain(`  ${command} `);
  });

  it.each<[string, string[], string]>([
    ['no command', [], 'peers, kernels, cam, methods, metrics, cold, memory'],
    ['an unknown command', ['speed'], '"speed"'],
    ['two commands', ['peers', 'cam'], '"cam"'],
    ['an unknown option', ['peers', '--fast'], '--fast'],
    ['an unknown model', ['peers', '--model', 'vgg16'], '"vgg16"'],
    ['an option of another command', ['kernels', '--threads', '2'], '--threads'],
    ['an unknown device', ['peers', '--device', 'gpu'], '"gpu"'],
    ['a device where there is no choice', ['memory', '--device', 'webgpu'], '--device'],
    ['threads of a GPU', ['peers', '--device', 'webgpu', '--threads', '2'], '--threads'],
    ['no threads', ['peers', '--threads', '0'], '"0"'],
    ['too many threads', ['peers', '--threads', '10000'], '"10000"'],
    ['a comparison of nothing', ['compare'], 'name the files'],
    ['an option of the comparison', ['webgpu', '--out', 'page.html'], '--out'],
    ['an unknown place', ['webgpu', '--in', 'bun'], '--in "bun" is unknown; use node, browser, deno'],
    ['a place where there is no choice', ['peers', '--in', 'deno'], '--in'],
    ['a browser for Deno', ['webgpu', '--in', 'deno', '--browser', 'x'], '--browser is for --in browser'],
    ['a browser for Node', ['webgpu', '--browser', 'x'], '--browser is for --in browser'],
    ['no text for the layers', ['webgpu', '--only', ''], '--only ""'],
    ['half a round', ['peers', '--rounds', '0.5'], '"0.5"'],
    ['an empty list', ['peers', '--model', ''], '""'],
  ])('refuses %s', (_, args, named) => {
    const parse = () => parseOptions(args);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(named);
  });
});

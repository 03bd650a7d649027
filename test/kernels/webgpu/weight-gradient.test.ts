import { describe, expect, it } from 'vitest';
import { conv2dWeightGradientDefinition } from '../../../src/kernels/conv2d/index.ts';
import { type ShaderTarget, TILINGS } from '../../../src/kernels/webgpu/tiles.ts';
import { denseLayout, type TensorSpec } from '../../../src/tensor/layout.ts';
import { gpu, lavapipe } from '../../support/adapter-facts.ts';

const spec = (shape: number[]): TensorSpec => ({ ...denseLayout(shape), dtype: 'float32' });
const kernel = [3, 3] as const;

/** Those of a 3x3 convolution that keeps the size of its images. */
function programs({ channels = 64, out = 64, groups = 1, size = 56 }, target: ShaderTarget) {
  const inputs = [spec([1, channels, size, size]), spec([1, 1, out, size, size])];
  const outputs = [spec([1, out, channels / groups, ...kernel])];
  const attributes = { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups, kernel } as const;
  return conv2dWeightGradientDefinition.webgpu({ inputs, outputs, attributes, target });
}

const keys = (...of: Parameters<typeof programs>) => programs(...of).map(({ key }) => key);

describe("the kernel of a weight's gradient", () => {
  it.each([
    ['broadcasts on a CPU', {}, lavapipe, ['conv2d/weight-gradient/subgroup/rows4/columns4']],
    ['reads three channels one by one', { channels: 3 }, lavapipe, ['conv2d/weight-gradient/subgroup/rows1/columns4']],
    [
      'shares nothing where channels are groups',
      { groups: 64 },
      lavapipe,
      ['conv2d/weight-gradient/register/rows1/columns1'],
    ],
    [
      'adds up parts where hardware has few tiles',
      {},
      gpu,
      ['conv2d/weight-gradient/workgroup-32x32/rows4/columns4', 'conv2d/splits/4'],
    ],
    [
      'is in large tiles where there are many',
      { channels: 512, out: 512, size: 7 },
      gpu,
      ['conv2d/weight-gradient/workgroup-128x64/rows4/columns4'],
    ],
  ])('%s', (_, sizes, target, expected) => {
    expect(keys(sizes, target)).toEqual(expected);
  });

  it.each(TILINGS)('is that in tiles %s where they are asked for', (tiling) => {
    for (const target of [gpu, lavapipe]) {
      expect(keys({}, { ...target, tiling, splits: 1 })).toEqual([`conv2d/weight-gradient/${tiling}/rows4/columns4`]);
    }
  });

  it.each(TILINGS)('has one code for all shapes in tiles %s', (tiling) => {
    const target = { ...gpu, tiling, splits: 1 };
    const [a, b] = [programs({}, target), programs({ channels: 128, out: 32, size: 9 }, target)];
    expect(a.map(({ code }) => code())).toEqual(b.map(({ code }) => code()));
  });
});

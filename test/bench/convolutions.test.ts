import { describe, expect, it } from 'vitest';
import {
  convolutionsBehind,
  describe as describeShape,
  distinctShapes,
  liveActivationBytes,
  operations,
  outputSize,
  resnet50Convolutions,
  weightBytes,
} from '../../bench/convolutions.ts';
import { layersOf, requireLayer } from '../../src/nn/model.ts';

describe("ResNet-50's floors", () => {
  const convolutions = resnet50Convolutions();

  it('has as many convolutions as the network', () => {
    expect(convolutions).toHaveLength(53);
    expect(layersOf('resnet50').filter((name) => /conv\d$|downsample\.0$/.test(name))).toHaveLength(53);
    expect(() => requireLayer('resnet50', 'layer4.2.conv3')).not.toThrow();
  });

  it('counts each shape once', () => {
    const shapes = distinctShapes(convolutions);
    expect(new Set(shapes.map(({ shape }) => describeShape(shape))).size).toBe(shapes.length);
    expect(shapes.reduce((sum, { count }) => sum + count, 0)).toBe(53);
    expect(shapes[0]).toEqual({
      shape: { channels: 3, out: 64, kernel: 7, stride: 2, size: 224, residual: false },
      count: 1,
    });
  });

  it('counts a product and a sum for each weight and position', () => {
    const [stem] = convolutions;
    if (!stem) throw new Error('there is a stem');
    expect(outputSize(stem)).toBe(112);
    expect(operations(stem)).toBe(2 * 112 * 112 * 64 * 3 * 7 * 7);
    // torchvision states 4.089 billion multiply-adds for the network; its linear layer has 2048 x 1000 of them.
    const all = convolutions.reduce((sum, shape) => sum + operations(shape), 0);
    expect(all / 2 + 2048 * 1000).toBe(4_089_184_256);
  });

  it('knows what is behind a stage', () => {
    // Counted by hand: layer3 has 1464.4, layer4 809.2 of 4087 million multiply-adds in convolutions.
    const millions = (stage: number) =>
      convolutionsBehind(stage).reduce((sum, shape) => sum + operations(shape), 0) / 2e6;
    expect(millions(4)).toBe(0);
    expect(millions(3)).toBeCloseTo(809.2, 1);
    expect(millions(2)).toBeCloseTo(809.2 + 1464.4, 1);
  });

  it('holds the weights without the batch norms', () => {
    // PyTorch counts 25,557,032 parameters; folding turns 2 of each of the 26,560 norm channels into 1 bias.
    expect(weightBytes()).toBe(4 * (25_557_032 - 26_560));
  });

  it('holds operands, shortcut and result of the widest convolution', () => {
    // 64 channels to 256 at 56 x 56, and as much again on the shortcut
    expect(liveActivationBytes()).toBe(4 * 56 * 56 * (64 + 256 + 256));
  });
});

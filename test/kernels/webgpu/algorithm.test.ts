import { describe, expect, it } from 'vitest';
import { chooseAlgorithm } from '../../../src/kernels/conv2d/algorithm.ts';
import type { Algorithm, GatherShape } from '../../../src/kernels/conv2d/geometry.ts';
import type { ShaderTarget } from '../../../src/kernels/webgpu/tiles.ts';

const facts = { workgroupThreads: 256, workgroupBytes: 16384 };
const lavapipe: ShaderTarget = { ...facts, software: true, subgroups: { min: 8, max: 8 } };
const swiftShader: ShaderTarget = { ...facts, software: true, subgroups: { min: 4, max: 4 } };
const gpu: ShaderTarget = { ...facts, software: false, subgroups: undefined };

/** 3x3 of stride 1 over a square image. */
function layer(channels: number, size: number, other: Partial<GatherShape> = {}): GatherShape {
  return {
    ...{ transposed: false, batch: 1, groups: 1, rows: channels, columns: 64, kernel: [3, 3], stride: [1, 1] },
    ...{ source: [size, size], target: [size, size], padding: [1, 1], dilation: [1, 1], ...other },
  };
}

describe('the algorithm of a convolution', () => {
  it.each<[Algorithm, string, ShaderTarget, GatherShape]>([
    ['winograd', 'tiles enough', lavapipe, layer(64, 28)],
    ['direct', 'few tiles', lavapipe, layer(64, 14)],
    ['winograd', 'fewer tiles, which are enough', swiftShader, layer(64, 14)],
    ['direct', 'still fewer', swiftShader, layer(64, 7)],
    ['direct', 'few channels', lavapipe, layer(32, 28)],
    ['direct', 'a stride', lavapipe, layer(64, 56, { stride: [2, 2], target: [28, 28] })],
    ['direct', 'a GPU', gpu, layer(64, 28)],
    ['winograd', 'a GPU that is asked for it', { ...gpu, algorithm: 'winograd' }, layer(64, 28)],
    ['direct', 'what cannot be had', { ...gpu, algorithm: 'winograd' }, layer(3, 28)],
    ['patches', 'a colour image', lavapipe, layer(3, 28)],
    ['patches', 'a grey image', swiftShader, layer(1, 28)],
    ['direct', 'a result of few channels', lavapipe, layer(3, 28, { columns: 8 })],
    ['direct', 'lines with gaps', lavapipe, layer(3, 28, { dilation: [1, 2] })],
    ['direct', 'an input gradient', lavapipe, layer(3, 28, { transposed: true })],
    ['direct', 'single pixels', lavapipe, layer(3, 28, { kernel: [1, 1], padding: [0, 0] })],
    ['direct', 'a colour image on a GPU', gpu, layer(3, 28)],
    ['patches', 'the same, asked for', { ...gpu, algorithm: 'patches' }, layer(3, 28)],
    ['direct', 'patches that cannot be had', { ...gpu, algorithm: 'patches' }, layer(64, 28)],
  ])('is %s: %s', (algorithm, _, target, conv) => {
    expect(chooseAlgorithm(target, conv).algorithm).toBe(algorithm);
  });
});

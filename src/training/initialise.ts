import { BatchNorm2d, Conv2d, Linear } from '../nn/layers.ts';
import type { Module } from '../nn/module.ts';
import { gaussian, random32 } from '../random.ts';
import { type Shape, sizeOf } from '../tensor/shape.ts';

/**
 * Random weights to begin a training with, as torchvision gives them to its ResNets: convolutions from a normal distribution
 * with the variance 2 / fan-out (He et al. 2015, arXiv:1502.01852, equation 14), batch norms that do nothing yet, linear
 * layers uniform within 1 / sqrt(fan-in). The same seed gives the same weights.
 */
export function initialise(module: Module, seed: number): void {
  const normal = gaussian(seed);
  const random = random32(seed + 1);
  for (const layer of [module, ...module.modules().values()]) {
    if (layer instanceof Conv2d) {
      const { weight, bias, geometry } = layer;
      const [out = 1, , ...kernel] = weight.shape;
      const deviation = Math.sqrt(2 / ((out / geometry.groups) * sizeOf(kernel)));
      weight.load(filled(weight.shape, () => deviation * normal()));
      bias?.load(filled(bias.shape, () => 0));
    }
    if (layer instanceof BatchNorm2d) {
      for (const one of [layer.weight, layer.running_var]) one.load(filled(one.shape, () => 1));
      for (const zero of [layer.bias, layer.running_mean]) zero.load(filled(zero.shape, () => 0));
    }
    if (layer instanceof Linear) {
      const [, features = 1] = layer.weight.shape;
      const uniform = () => (random() / 2 ** 31 - 1) / Math.sqrt(features);
      for (const parameter of [layer.weight, layer.bias]) parameter.load(filled(parameter.shape, uniform));
    }
  }
}

function filled(shape: Shape, value: () => number): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, value);
}

import { readFileSync } from 'node:fs';
import { add, globalAvgPool2d, relu } from '../../src/kernels/index.ts';
import type { ForwardPass } from '../../src/nn/forward-pass.ts';
import { BatchNorm2d, Conv2d, convNorm, Linear, MaxPool2d, normRelu, Sequential } from '../../src/nn/layers.ts';
import { Model } from '../../src/nn/model.ts';
import { DenseNet } from '../../src/nn/models/densenet.ts';
import { Module } from '../../src/nn/module.ts';
import type { HostArray } from '../../src/nn/weights/host-array.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/* The two networks of scripts/pytorch/propagation.py, and what PyTorch hands back to their images. */

const FILE = new URL('../expected/propagation.safetensors', import.meta.url);
const arrays = parseSafetensors(readFileSync(FILE), 'propagation.safetensors');

const networks = {
  residual: () => new Residual(),
  dense: () => new DenseNet({ growth: 4, blocks: [2, 2], stem: 6 }, 5),
};
export type SmallNetwork = keyof typeof networks;
export const SMALL_NETWORKS: readonly SmallNetwork[] = ['residual', 'dense'];

/** For each of the two images of the file. */
export const CLASSES = [
  [1, 4, 0],
  [3, 2, 4],
] as const;

/** A value of the file as float32. */
export function expected(network: SmallNetwork, key: string): HostArray & { readonly data: Float32Array } {
  const array = arrays.get(`${network}/${key}`);
  if (!array) throw new Error(`propagation.safetensors has no ${network}/${key}`);
  return { ...array, data: Float32Array.from(array.data) };
}

/**
 * One of the networks, with the weights of the file.
 * @param change what becomes of each array of weights; a network without biases for example
 */
export function smallNetwork(
  network: SmallNetwork,
  change: (key: string, data: Float32Array) => Float32Array = (_, data) => data,
): Model {
  const module = networks[network]();
  const values = [...module.stateShapes().keys()].map(
    (key) => [key, { data: change(key, expected(network, `state/${key}`).data) }] as const,
  );
  module.loadValues(new Map(values));
  // The name decides the smallest input that is accepted, and nothing else here.
  return new Model('resnet20-cifar10', module, ['a', 'b', 'c', 'd', 'e']);
}

/** For `smallNetwork`: no layer adds anything to what comes from the image. */
export function withoutBiases(key: string, data: Float32Array): Float32Array {
  return /bias$|running_mean$/.test(key) ? new Float32Array(data.length) : data;
}

/** A block with a projection, and a pre-activation block, whose sum stands alone. */
class Residual extends Module {
  readonly conv1 = new Conv2d(3, 6, 3, { padding: [1, 1] });
  readonly bn1 = new BatchNorm2d(6);
  readonly maxpool = new MaxPool2d(3, 2, 1);
  readonly conv2 = new Conv2d(6, 8, 3, { stride: [2, 2], padding: [1, 1] });
  readonly bn2 = new BatchNorm2d(8);
  readonly conv3 = new Conv2d(8, 8, 3, { padding: [1, 1] });
  readonly bn3 = new BatchNorm2d(8);
  readonly #projection = new Conv2d(6, 8, 1, { stride: [2, 2] });
  readonly #projectionNorm = new BatchNorm2d(8);
  readonly downsample = new Sequential([this.#projection, this.#projectionNorm]);
  readonly bn4 = new BatchNorm2d(8);
  readonly conv4 = new Conv2d(8, 8, 3, { padding: [1, 1], bias: true });
  readonly bn5 = new BatchNorm2d(8);
  readonly fc = new Linear(8, 5);

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const stem = pass.call(this.maxpool, convNorm(pass, x, this.conv1, this.bn1, { relu: true }));
    const a = convNorm(pass, stem, this.conv2, this.bn2, { relu: true });
    const residual = convNorm(pass, stem, this.#projection, this.#projectionNorm);
    const block = convNorm(pass, a, this.conv3, this.bn3, { relu: true, residual });
    const sum = add(pass.call(this.conv4, normRelu(pass, block, this.bn4)), block);
    return pass.call(this.fc, globalAvgPool2d(normRelu(pass, relu(sum), this.bn5)));
  }
}

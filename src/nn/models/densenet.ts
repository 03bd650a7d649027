import { adaptiveAvgPool2d, concat, reshape } from '../../kernels/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ForwardPass } from '../forward-pass.ts';
import {
  AdaptiveAvgPool2d,
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  chain,
  convNorm,
  Flatten,
  Linear,
  MaxPool2d,
  normRelu,
  ReLU,
} from '../layers.ts';
import { Module } from '../module.ts';

/* Densely connected networks (Huang et al. 2017, arXiv:1608.06993), as torchvision builds them. */

/** norm, ReLU, 1x1 convolution to four times the growth, norm, ReLU, 3x3 convolution to the growth. */
class DenseLayer extends Module {
  readonly norm1: BatchNorm2d;
  readonly relu1 = new ReLU();
  readonly conv1: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly relu2 = new ReLU();
  readonly conv2: Conv2d;

  constructor(channels: number, growth: number) {
    super();
    const width = 4 * growth;
    this.norm1 = new BatchNorm2d(channels);
    this.conv1 = new Conv2d(channels, width, 1);
    this.norm2 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, growth, 3, { padding: [1, 1] });
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const activated = normRelu(pass, x, this.norm1, this.relu1);
    const bottleneck = convNorm(pass, activated, this.conv1, this.norm2, { relu: this.relu2 });
    return pass.call(this.conv2, bottleneck);
  }
}

/** Every layer sees the outputs of all layers before it. */
class DenseBlock extends Module {
  readonly #layers: [string, DenseLayer][];

  constructor(layers: number, channels: number, growth: number) {
    super();
    this.#layers = Array.from({ length: layers }, (_, i) => [
      `denselayer${i + 1}`,
      new DenseLayer(channels + i * growth, growth),
    ]);
  }

  override children(): [string, Module][] {
    return this.#layers;
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    let features = x;
    for (const [, layer] of this.#layers) {
      const grown = pass.call(layer, features);
      const next = concat([features, grown], 1);
      grown.dispose();
      if (features !== x) features.dispose();
      features = next;
    }
    return features;
  }
}

/** norm, ReLU, 1x1 convolution to half the channels, 2x2 average. */
class Transition extends Module {
  readonly norm: BatchNorm2d;
  readonly relu = new ReLU();
  readonly conv: Conv2d;
  readonly pool = new AvgPool2d(2, 2);

  constructor(channels: number, out: number) {
    super();
    this.norm = new BatchNorm2d(channels);
    this.conv = new Conv2d(channels, out, 1);
  }

  override sequence(): readonly Module[] {
    return [this.norm, this.relu, this.conv, this.pool];
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    return chain(pass, normRelu(pass, x, this.norm, this.relu), [this.conv, this.pool]);
  }
}

interface DenseNetOptions {
  readonly growth: number;
  /** Layers of each block. */
  readonly blocks: readonly number[];
  /** Channels of the stem. */
  readonly stem: number;
}

/**
 * The convolutional part. torchvision applies the ReLU behind `norm5` to the output of `features` in place, so what a
 * PyTorch hook keeps of `features` is what comes out of that ReLU, and so it is here; `features.norm5` is the value before.
 */
class DenseNetFeatures extends Module {
  readonly #children: [string, Module][];
  readonly #body: readonly Module[];
  readonly #conv0: Conv2d;
  readonly #norm0: BatchNorm2d;
  readonly #relu0 = new ReLU();
  readonly #norm5: BatchNorm2d;
  readonly channels: number;

  constructor({ growth, blocks, stem }: DenseNetOptions) {
    super();
    this.#conv0 = new Conv2d(3, stem, 7, { stride: [2, 2], padding: [3, 3] });
    this.#norm0 = new BatchNorm2d(stem);
    const body: [string, Module][] = [['pool0', new MaxPool2d(3, 2, 1)]];
    let channels = stem;
    for (const [i, layers] of blocks.entries()) {
      body.push([`denseblock${i + 1}`, new DenseBlock(layers, channels, growth)]);
      channels += layers * growth;
      if (i < blocks.length - 1) {
        body.push([`transition${i + 1}`, new Transition(channels, channels / 2)]);
        channels /= 2;
      }
    }
    this.#norm5 = new BatchNorm2d(channels);
    this.channels = channels;
    this.#body = body.map(([, module]) => module);
    this.#children = [
      ['conv0', this.#conv0],
      ['norm0', this.#norm0],
      ['relu0', this.#relu0],
      ...body,
      ['norm5', this.#norm5],
    ];
  }

  override children(): [string, Module][] {
    return this.#children;
  }

  override sequence(): readonly Module[] {
    return [this.#conv0, this.#norm0, this.#relu0, ...this.#body, this.#norm5, new ReLU()];
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const stem = convNorm(pass, x, this.#conv0, this.#norm0, { relu: this.#relu0 });
    return normRelu(pass, chain(pass, stem, this.#body), this.#norm5);
  }
}

/** torchvision's DenseNet: [N,3,H,W] to logits [N, classes]. */
export class DenseNet extends Module {
  readonly features: DenseNetFeatures;
  readonly classifier: Linear;

  constructor(options: DenseNetOptions, classes: number) {
    super();
    this.features = new DenseNetFeatures(options);
    this.classifier = new Linear(this.features.channels, classes);
  }

  override sequence(): readonly Module[] {
    return [this.features, new AdaptiveAvgPool2d([1, 1]), new Flatten(), this.classifier];
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const pooled = adaptiveAvgPool2d(pass.call(this.features, x), [1, 1]);
    return pass.call(this.classifier, reshape(pooled, [pooled.shape[0] ?? 1, -1]));
  }
}

export const densenet121 = (classes: number) =>
  new DenseNet({ growth: 32, blocks: [6, 12, 24, 16], stem: 64 }, classes);
export const densenet169 = (classes: number) =>
  new DenseNet({ growth: 32, blocks: [6, 12, 32, 32], stem: 64 }, classes);
export const densenet201 = (classes: number) =>
  new DenseNet({ growth: 32, blocks: [6, 12, 48, 32], stem: 64 }, classes);

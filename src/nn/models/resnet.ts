import { reshape } from '../../kernels/index.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ForwardPass } from '../forward-pass.ts';
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  chain,
  convNorm,
  Flatten,
  Linear,
  MaxPool2d,
  ReLU,
  Sequential,
} from '../layers.ts';
import { Module } from '../module.ts';

/* Deep residual networks (He et al. 2015, arXiv:1512.03385), as torchvision builds them. */

/** 1x1 convolution and batch norm on the shortcut, where the block changes the shape. */
class Downsample extends Sequential {
  readonly #conv: Conv2d;
  readonly #norm: BatchNorm2d;

  constructor(channels: number, out: number, stride: number) {
    const conv = new Conv2d(channels, out, 1, { stride: [stride, stride] });
    const norm = new BatchNorm2d(out);
    super([conv, norm]);
    this.#conv = conv;
    this.#norm = norm;
  }

  override forward(x: Tensor, pass: ForwardPass): Tensor {
    return convNorm(pass, x, this.#conv, this.#norm);
  }
}

interface Block {
  new (channels: number, width: number, stride: number): Module;
  /** Output channels over width. */
  readonly expansion: number;
}

/** Two 3x3 convolutions. */
class BasicBlock extends Module {
  static readonly expansion = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly relu = new ReLU();
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample?: Downsample;

  constructor(channels: number, width: number, stride: number) {
    super();
    this.conv1 = new Conv2d(channels, width, 3, { stride: [stride, stride], padding: [1, 1] });
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { padding: [1, 1] });
    this.bn2 = new BatchNorm2d(width);
    if (stride !== 1 || channels !== width) this.downsample = new Downsample(channels, width, stride);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const { relu, downsample } = this;
    const a = convNorm(pass, x, this.conv1, this.bn1, { relu });
    const residual = downsample ? pass.call(downsample, x) : x;
    return convNorm(pass, a, this.conv2, this.bn2, { relu, residual });
  }
}

/** 1x1, 3x3, 1x1; the 3x3 convolution carries the stride, which is called version 1.5. */
class Bottleneck extends Module {
  static readonly expansion = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly relu = new ReLU();
  readonly downsample?: Downsample;

  constructor(channels: number, width: number, stride: number) {
    super();
    const out = width * Bottleneck.expansion;
    this.conv1 = new Conv2d(channels, width, 1);
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { stride: [stride, stride], padding: [1, 1] });
    this.bn2 = new BatchNorm2d(width);
    this.conv3 = new Conv2d(width, out, 1);
    this.bn3 = new BatchNorm2d(out);
    if (stride !== 1 || channels !== out) this.downsample = new Downsample(channels, out, stride);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const { relu, downsample } = this;
    const a = convNorm(pass, x, this.conv1, this.bn1, { relu });
    const b = convNorm(pass, a, this.conv2, this.bn2, { relu });
    const residual = downsample ? pass.call(downsample, x) : x;
    return convNorm(pass, b, this.conv3, this.bn3, { relu, residual });
  }
}

/** The blocks of one stage; the first one has the stride. */
function stage(block: Block, count: number, channels: number, width: number, stride: number): Sequential {
  const out = width * block.expansion;
  return new Sequential(
    Array.from({ length: count }, (_, i) => (i === 0 ? new block(channels, width, stride) : new block(out, width, 1))),
  );
}

/** One number for each of the four stages. */
export type PerStage = readonly [number, number, number, number];

/** What a network of the family may have otherwise than those for ImageNet. */
export interface ResNetShape {
  /** Height and width of the stem's kernel, an odd number; its stride is 2. */
  readonly stem: number;
  /** Channels of the 3x3 convolutions; the stem has those of the first stage. */
  readonly widths: PerStage;
  readonly strides: PerStage;
}

/** From one stage to the next the width doubles and the resolution halves. */
const IMAGENET: ResNetShape = { stem: 7, widths: [64, 128, 256, 512], strides: [1, 2, 2, 2] };

/** The four stages behind a stem of as many channels as the first has. */
export function stages(
  block: Block,
  depths: PerStage,
  { widths, strides }: Omit<ResNetShape, 'stem'> = IMAGENET,
): Readonly<Record<'layer1' | 'layer2' | 'layer3' | 'layer4', Sequential>> {
  const e = block.expansion;
  return {
    layer1: stage(block, depths[0], widths[0], widths[0], strides[0]),
    layer2: stage(block, depths[1], widths[0] * e, widths[1], strides[1]),
    layer3: stage(block, depths[2], widths[1] * e, widths[2], strides[2]),
    layer4: stage(block, depths[3], widths[2] * e, widths[3], strides[3]),
  };
}

/** Logits from the last feature map: average over the pixels, then the linear head. */
export function classify(pass: ForwardPass, features: Tensor, avgpool: AdaptiveAvgPool2d, head: Linear): Tensor {
  const pooled = pass.call(avgpool, features);
  return pass.call(head, reshape(pooled, [pooled.shape[0] ?? 1, -1]));
}

/** torchvision's ResNet: [N,3,H,W] to logits [N, classes]. */
export class ResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly relu = new ReLU();
  readonly maxpool = new MaxPool2d(3, 2, 1);
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly avgpool = new AdaptiveAvgPool2d([1, 1]);
  readonly fc: Linear;

  constructor(block: Block, depths: PerStage, classes: number, shape: ResNetShape = IMAGENET) {
    super();
    const { stem, widths } = shape;
    const padding = (stem - 1) / 2;
    this.conv1 = new Conv2d(3, widths[0], stem, { stride: [2, 2], padding: [padding, padding] });
    this.bn1 = new BatchNorm2d(widths[0]);
    const { layer1, layer2, layer3, layer4 } = stages(block, depths, shape);
    this.layer1 = layer1;
    this.layer2 = layer2;
    this.layer3 = layer3;
    this.layer4 = layer4;
    this.fc = new Linear(widths[3] * block.expansion, classes);
  }

  override sequence(): readonly Module[] {
    const stages = [this.layer1, this.layer2, this.layer3, this.layer4];
    return [this.conv1, this.bn1, this.relu, this.maxpool, ...stages, this.avgpool, new Flatten(), this.fc];
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const stem = convNorm(pass, x, this.conv1, this.bn1, { relu: this.relu });
    const features = chain(pass, stem, [this.maxpool, this.layer1, this.layer2, this.layer3, this.layer4]);
    return classify(pass, features, this.avgpool, this.fc);
  }
}

export const resnet18 = (classes: number) => new ResNet(BasicBlock, [2, 2, 2, 2], classes);
export const resnet34 = (classes: number) => new ResNet(BasicBlock, [3, 4, 6, 3], classes);
export const resnet50 = (classes: number) => new ResNet(Bottleneck, [3, 4, 6, 3], classes);
export const resnet101 = (classes: number) => new ResNet(Bottleneck, [3, 4, 23, 3], classes);
export const resnet152 = (classes: number) => new ResNet(Bottleneck, [3, 8, 36, 3], classes);

/**
 * A small one for scenes of 96 x 96 pixels or so (see `training/`). Its last stage keeps the resolution, for maps of 6 x 6.
 */
export const resnetScenes = (classes: number) =>
  new ResNet(BasicBlock, [2, 2, 2, 1], classes, { stem: 5, widths: [32, 64, 128, 256], strides: [1, 2, 2, 1] });

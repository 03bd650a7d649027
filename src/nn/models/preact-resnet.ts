import { add } from '../../kernels/index.ts';
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
  normRelu,
  ReLU,
  Sequential,
} from '../layers.ts';
import { Module } from '../module.ts';
import { classify, type PerStage, stages } from './resnet.ts';

/* ResNet V2: identity mappings in deep residual networks (He et al. 2016, arXiv:1603.05027). Norm and ReLU come before
   each convolution, and the sum of a block goes on as it is. torchvision has no such family; the names are in its style. */

/** The 1x1 convolution of a shortcut that changes the shape; it sees the activated input. */
const downsampling = (channels: number, out: number, stride: number) =>
  new Sequential([new Conv2d(channels, out, 1, { stride: [stride, stride] })]);

class PreActBasicBlock extends Module {
  static readonly expansion = 1;
  readonly bn1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly relu = new ReLU();
  readonly downsample?: Sequential;

  constructor(channels: number, width: number, stride: number) {
    super();
    this.bn1 = new BatchNorm2d(channels);
    this.conv1 = new Conv2d(channels, width, 3, { stride: [stride, stride], padding: [1, 1] });
    this.bn2 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { padding: [1, 1] });
    if (stride !== 1 || channels !== width) this.downsample = downsampling(channels, width, stride);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const { relu, downsample } = this;
    const activated = normRelu(pass, x, this.bn1, relu);
    const shortcut = downsample ? pass.call(downsample, activated) : x;
    const a = convNorm(pass, activated, this.conv1, this.bn2, { relu });
    return add(pass.call(this.conv2, a), shortcut);
  }
}

class PreActBottleneck extends Module {
  static readonly expansion = 4;
  readonly bn1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly relu = new ReLU();
  readonly downsample?: Sequential;

  constructor(channels: number, width: number, stride: number) {
    super();
    const out = width * PreActBottleneck.expansion;
    this.bn1 = new BatchNorm2d(channels);
    this.conv1 = new Conv2d(channels, width, 1);
    this.bn2 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { stride: [stride, stride], padding: [1, 1] });
    this.bn3 = new BatchNorm2d(width);
    this.conv3 = new Conv2d(width, out, 1);
    if (stride !== 1 || channels !== out) this.downsample = downsampling(channels, out, stride);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const { relu, downsample } = this;
    const activated = normRelu(pass, x, this.bn1, relu);
    const shortcut = downsample ? pass.call(downsample, activated) : x;
    const a = convNorm(pass, activated, this.conv1, this.bn2, { relu });
    const b = convNorm(pass, a, this.conv2, this.bn3, { relu });
    return add(pass.call(this.conv3, b), shortcut);
  }
}

/** [N,3,H,W] to logits [N, classes]. */
export class PreActResNet extends Module {
  readonly conv1 = new Conv2d(3, 64, 7, { stride: [2, 2], padding: [3, 3] });
  readonly maxpool = new MaxPool2d(3, 2, 1);
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  readonly bn: BatchNorm2d;
  readonly relu = new ReLU();
  readonly avgpool = new AdaptiveAvgPool2d([1, 1]);
  readonly fc: Linear;

  constructor(block: typeof PreActBasicBlock | typeof PreActBottleneck, depths: PerStage, classes: number) {
    super();
    ({ layer1: this.layer1, layer2: this.layer2, layer3: this.layer3, layer4: this.layer4 } = stages(block, depths));
    const channels = 512 * block.expansion;
    this.bn = new BatchNorm2d(channels);
    this.fc = new Linear(channels, classes);
  }

  override sequence(): readonly Module[] {
    const stages = [this.layer1, this.layer2, this.layer3, this.layer4];
    return [this.conv1, this.maxpool, ...stages, this.bn, this.relu, this.avgpool, new Flatten(), this.fc];
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const sums = chain(pass, x, [this.conv1, this.maxpool, this.layer1, this.layer2, this.layer3, this.layer4]);
    const features = normRelu(pass, sums, this.bn, this.relu);
    return classify(pass, features, this.avgpool, this.fc);
  }
}

export const resnet18v2 = (classes: number) => new PreActResNet(PreActBasicBlock, [2, 2, 2, 2], classes);
export const resnet34v2 = (classes: number) => new PreActResNet(PreActBasicBlock, [3, 4, 6, 3], classes);
export const resnet50v2 = (classes: number) => new PreActResNet(PreActBottleneck, [3, 4, 6, 3], classes);
export const resnet101v2 = (classes: number) => new PreActResNet(PreActBottleneck, [3, 4, 23, 3], classes);
export const resnet152v2 = (classes: number) => new PreActResNet(PreActBottleneck, [3, 8, 36, 3], classes);

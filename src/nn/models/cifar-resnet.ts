import { globalAvgPool2d, pad, slice } from '../../kernels/index.ts';
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
  ReLU,
  Sequential,
} from '../layers.ts';
import { Module } from '../module.ts';

/* The residual networks of He et al. 2015, section 4.2, for CIFAR-10: 6n+2 layers, shortcuts without parameters. */

/** Shortcut option A: every second pixel, and zeros for the channels that the block adds. */
class ZeroPaddedShortcut extends Module {
  readonly #added: number;

  constructor(added: number) {
    super();
    this.#added = added;
  }

  forward(x: Tensor): Tensor {
    const half = this.#added / 2;
    const subsampled = slice(x, [0, 0, 0, 0], x.shape, [1, 1, 2, 2]);
    return pad(subsampled, [0, half, 0, 0], [0, half, 0, 0]);
  }
}

/** Its ReLUs are function calls in the common PyTorch version, so they have no names. */
class CifarBlock extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly shortcut: Module;

  constructor(channels: number, width: number, stride: number) {
    super();
    this.conv1 = new Conv2d(channels, width, 3, { stride: [stride, stride], padding: [1, 1] });
    this.bn1 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, width, 3, { padding: [1, 1] });
    this.bn2 = new BatchNorm2d(width);
    this.shortcut = stride === 1 ? new Sequential([]) : new ZeroPaddedShortcut(width - channels);
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const a = convNorm(pass, x, this.conv1, this.bn1, { relu: true });
    const residual = pass.call(this.shortcut, x);
    return convNorm(pass, a, this.conv2, this.bn2, { relu: true, residual });
  }
}

/** [N,3,H,W] to logits [N, classes]; any H and W, since the pooling is global. */
export class CifarResNet extends Module {
  readonly conv1 = new Conv2d(3, 16, 3, { padding: [1, 1] });
  readonly bn1 = new BatchNorm2d(16);
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly linear: Linear;

  /** @param depth 6n + 2 */
  constructor(depth: number, classes: number) {
    super();
    const n = (depth - 2) / 6;
    const stage = (channels: number, width: number, stride: number) =>
      new Sequential(
        Array.from({ length: n }, (_, i) =>
          i === 0 ? new CifarBlock(channels, width, stride) : new CifarBlock(width, width, 1),
        ),
      );
    this.layer1 = stage(16, 16, 1);
    this.layer2 = stage(16, 32, 2);
    this.layer3 = stage(32, 64, 2);
    this.linear = new Linear(64, classes);
  }

  override sequence(): readonly Module[] {
    const head = [new AdaptiveAvgPool2d([1, 1]), new Flatten(), this.linear];
    return [this.conv1, this.bn1, new ReLU(), this.layer1, this.layer2, this.layer3, ...head];
  }

  forward(x: Tensor, pass: ForwardPass): Tensor {
    const stem = convNorm(pass, x, this.conv1, this.bn1, { relu: true });
    const features = chain(pass, stem, [this.layer1, this.layer2, this.layer3]);
    return pass.call(this.linear, globalAvgPool2d(features));
  }
}

export const cifarResnet = (depth: number) => (classes: number) => new CifarResNet(depth, classes);

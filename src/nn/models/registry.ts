import { UsageError } from '../../errors.ts';
import type { Module } from '../module.ts';
import { cifarResnet } from './cifar-resnet.ts';
import { densenet121, densenet169, densenet201 } from './densenet.ts';
import { IMAGENET_CLASSES } from './imagenet-classes.ts';
import { resnet18v2, resnet34v2, resnet50v2, resnet101v2, resnet152v2 } from './preact-resnet.ts';
import { resnet18, resnet34, resnet50, resnet101, resnet152, resnetScenes } from './resnet.ts';

/** What is known of an architecture before its weights are there. */
export interface Architecture {
  /** One line for people. */
  readonly title: string;
  readonly build: (classes: number) => Module;
  /** Names of the classes, in the order of the logits of the published weights. */
  readonly labels: readonly string[];
  /** The state-dict key of the last layer's bias: its length is the number of classes of a weight file. */
  readonly head: string;
  /** The layer that is explained when none is named: the output of the last stage, after its final ReLU. */
  readonly layer: string;
  /** Input pixels for each pixel of that layer. */
  readonly stride: number;
  /** Which pictures the published weights were trained on decides how an image is prepared (see `src/image`). */
  readonly data: 'imagenet' | 'cifar' | 'scenes';
}

const IMAGENET = { labels: IMAGENET_CLASSES, stride: 32, data: 'imagenet' } as const;
const CIFAR10 = {
  labels: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
  head: 'linear.bias',
  layer: 'layer3',
  stride: 4,
  data: 'cifar',
} as const;

/** In the order of `CLASSES` in `training/`. */
const SCENE_CLASSES = [
  ...['cat', 'dog', 'horse', 'elephant', 'penguin', 'fish', 'butterfly', 'turtle', 'octopus', 'snail', 'car', 'bus'],
  ...['bicycle', 'ship', 'airplane', 'rocket', 'house', 'cactus', 'sunflower', 'mushroom', 'banana', 'strawberry'],
  ...['pizza', 'guitar'],
];

const resnet = (depth: number, build: Architecture['build']): Architecture => ({
  ...IMAGENET,
  title: `ResNet-${depth} (v1.5), torchvision`,
  build,
  head: 'fc.bias',
  layer: 'layer4',
});
const preact = (depth: number, build: Architecture['build']): Architecture => ({
  ...IMAGENET,
  title: `ResNet-${depth} V2, pre-activation (identity mappings)`,
  build,
  head: 'fc.bias',
  layer: 'relu',
});
const cifar = (depth: number): Architecture => ({
  ...CIFAR10,
  title: `ResNet-${depth} for CIFAR-10, option-A shortcuts`,
  build: cifarResnet(depth),
});
const densenet = (depth: number, build: Architecture['build']): Architecture => ({
  ...IMAGENET,
  title: `DenseNet-${depth}, torchvision`,
  build,
  head: 'classifier.bias',
  layer: 'features',
});

/** Every model that can be named. */
export const architectures = {
  resnet18: resnet(18, resnet18),
  resnet34: resnet(34, resnet34),
  resnet50: resnet(50, resnet50),
  resnet101: resnet(101, resnet101),
  resnet152: resnet(152, resnet152),
  resnet18v2: preact(18, resnet18v2),
  resnet34v2: preact(34, resnet34v2),
  resnet50v2: preact(50, resnet50v2),
  resnet101v2: preact(101, resnet101v2),
  resnet152v2: preact(152, resnet152v2),
  'resnet20-cifar10': cifar(20),
  'resnet32-cifar10': cifar(32),
  'resnet44-cifar10': cifar(44),
  'resnet56-cifar10': cifar(56),
  'resnet110-cifar10': cifar(110),
  'resnet-scenes': {
    title: 'small ResNet for scenes of drawn things, trained by this library',
    build: resnetScenes,
    labels: SCENE_CLASSES,
    head: 'fc.bias',
    layer: 'layer4',
    stride: 16,
    data: 'scenes',
  },
  densenet121: densenet(121, densenet121),
  densenet169: densenet(169, densenet169),
  densenet201: densenet(201, densenet201),
} as const satisfies Record<string, Architecture>;

export type ModelName = keyof typeof architectures;

export const MODEL_NAMES: readonly string[] = Object.keys(architectures);

export function architecture(name: string): Architecture {
  const all: Readonly<Record<string, Architecture>> = architectures;
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (!found) throw new UsageError(`model "${name}" is unknown; use one of ${MODEL_NAMES.join(', ')}`);
  return found;
}

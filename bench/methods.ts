/* What `npm run bench -- methods` runs, and what its worker calls it. */

/** Methods of one pass and one walk back. Fusion adds equations 4 to 6 to any of them, sweeps over [K,I,J]: one stands for all. */
export const GRADIENT_METHODS = [
  'fm-g-cam',
  'grad-cam',
  'grad-cam++',
  'xgrad-cam',
  'hires-cam',
  'layer-cam',
  'eigen-grad-cam',
  'seg-xres-cam',
] as const;
export const GRADIENT_LAYERS = ['layer4', 'layer2'] as const;
export type GradientLayer = (typeof GRADIENT_LAYERS)[number];

/** A method that runs a part of the network again for each channel of a layer. */
export interface ManyPasses {
  readonly network: 'resnet18' | 'resnet50';
  readonly method: 'score-cam' | 'ablation-cam';
  readonly layer: string;
  readonly channels: number;
}

/** Each takes seconds at the most, so that all of the channels are measured. */
export const MANY_PASSES: readonly ManyPasses[] = [
  { network: 'resnet18', method: 'score-cam', layer: 'layer1', channels: 64 },
  { network: 'resnet18', method: 'ablation-cam', layer: 'layer1', channels: 64 },
  { network: 'resnet18', method: 'ablation-cam', layer: 'layer2', channels: 128 },
  { network: 'resnet18', method: 'ablation-cam', layer: 'layer3', channels: 256 },
  { network: 'resnet50', method: 'ablation-cam', layer: 'layer4', channels: 2048 },
];

export const FORWARD = 'forward';

/** The name of an explanation by a method. */
export const explained = ({ method, layer }: { readonly method: string; readonly layer: string }) =>
  `${method} at ${layer}`;

/** The name of the passes alone that such a method must run. */
export const passesOf = (contest: ManyPasses) => `passes of ${explained(contest)}`;

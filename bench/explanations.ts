import type { MethodName } from '../src/index.ts';
import { type Convolution, convolutionsBehind, operations, resnet50Convolutions } from './convolutions.ts';

/* Which explanations of ResNet-50 are measured, and what they cost at the least. */

/** In place of a layer: the image. */
export const INPUT = 'input';

interface Explanation {
  readonly method: MethodName;
  readonly layer: string;
}

const AT_EVERY_LAYER: readonly MethodName[] = [
  ...(['fm-g-cam', 'grad-cam', 'grad-cam++', 'xgrad-cam', 'hires-cam', 'layer-cam'] as const),
  ...(['fm-layer-cam', 'seg-xres-cam', 'eigen-cam', 'eigen-grad-cam'] as const),
];

export const GRADIENT_METHODS: readonly Explanation[] = [
  ...[...AT_EVERY_LAYER, 'cam' as const].map((method) => ({ method, layer: 'layer4' })),
  ...AT_EVERY_LAYER.map((method) => ({ method, layer: 'layer2' })),
];

interface GradientFree extends Explanation {
  /** What runs for each channel is all that comes behind this. */
  readonly from: string;
  /** One for each channel of the layer. */
  readonly variants: number;
  /** How many the method runs together. */
  readonly batch: number;
}

/** At layers of few channels, or with little behind them: the others take minutes. */
export const GRADIENT_FREE_METHODS: readonly GradientFree[] = [
  { method: 'score-cam', layer: 'relu', from: INPUT, variants: 64, batch: 16 },
  { method: 'ablation-cam', layer: 'relu', from: 'relu', variants: 64, batch: 16 },
  { method: 'ablation-cam', layer: 'layer4', from: 'layer4', variants: 2048, batch: 16 },
];

/**
 * A forward pass and so many walks back to a stage's output, in units of the forward pass, counted in multiply-adds with
 * Winograd's F(4,3) where it applies (a quarter of them). A convolution costs on the way back what it costs on the way there.
 * @param stage 2 for `layer2`
 */
export function leastCost(stage: number, walks: number): number {
  return 1 + (walks * multiplyAdds(convolutionsBehind(stage))) / multiplyAdds(resnet50Convolutions());
}

function multiplyAdds(convolutions: readonly Convolution[]): number {
  const least = (convolution: Convolution) =>
    operations(convolution) / 2 / (convolution.kernel === 3 && convolution.stride === 1 ? 4 : 1);
  return convolutions.reduce((sum, convolution) => sum + least(convolution), 0);
}

export {
  FAITHFULNESS,
  type Faithfulness,
  type FaithfulnessMetric,
  faithfulness,
  type MapOfClass,
} from './faithfulness.ts';
export { fillOf } from './fill.ts';
export type { ScoreFunction, ScoringOptions } from './frames.ts';
export {
  LOCALISATION,
  type Localisation,
  type LocalisationMetric,
  type LocalisationOptions,
  localisation,
  type ObjectMask,
} from './localisation.ts';
export { type SaliencyMap, sparsity } from './saliency-map.ts';
export {
  type ClassSource,
  type Fill,
  METRIC_PRESETS,
  type MetricPreset,
  type MetricSettings,
  metricSettings,
  type NanPolicy,
  type Ranking,
  type ScoreKind,
  type TieRule,
} from './settings.ts';

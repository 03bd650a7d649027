import { UsageError } from '../errors.ts';

/* Every choice that the literature leaves open, and what two well-known implementations choose. */

/**
 * What stands in for removed pixels. `zero`: 0 after normalisation, which is the mean colour of the data set ('black' in
 * Gomez et al.'s library). `mean`: the mean colour of this image. `box-blur`: a zero-padded box of max(H/5, 9) pixels, made
 * odd (Gomez et al.). `gaussian-blur`: 11 pixels, sigma 5, zero-padded (RISE).
 */
export const FILLS = ['zero', 'mean', 'box-blur', 'gaussian-blur'] as const;
export type Fill = (typeof FILLS)[number];

/**
 * How the map of AD, IIC and ADD reaches the image's size. Values published with Gomez et al.'s library have been computed with
 * `nearest`; revisions of its source have `bicubic`, which overshoots [0,1].
 */
export const UPSAMPLINGS = ['nearest', 'bilinear', 'bicubic'] as const;
export type Upsampling = (typeof UPSAMPLINGS)[number];

/** What is ranked: the cells of the map as they are, or the pixels of the map after bilinear upsampling to the image. */
export const RANKINGS = ['native', 'pixels'] as const;
export type Ranking = (typeof RANKINGS)[number];

/** Of cells with equal values, the one that comes first or last in row-major order is taken first. */
export const TIE_RULES = ['first', 'last'] as const;
export type TieRule = (typeof TIE_RULES)[number];

/** The score of a class: its softmax probability, or what the network returns. */
export const SCORES = ['softmax', 'logit'] as const;
export type ScoreKind = (typeof SCORES)[number];

/**
 * The class whose score is followed. `given`: named with each map. `image`: the top class of the image (RISE). `start`: the
 * top class of the picture that a curve starts from, which for insertion is the fill (the default of Gomez et al.'s library).
 */
export const CLASS_SOURCES = ['given', 'image', 'start'] as const;
export type ClassSource = (typeof CLASS_SOURCES)[number];

/**
 * Maps with NaN. `refuse`: an error. `tie`: NaN counts as larger than any number and equal to itself, as in `torch.topk`;
 * metrics that need the values are then undefined.
 */
export const NAN_POLICIES = ['refuse', 'tie'] as const;
export type NanPolicy = (typeof NAN_POLICIES)[number];

export interface MetricSettings {
  readonly deletionFill: Fill;
  readonly insertionFill: Fill;
  /** Behind the map of AD, IIC and ADD. */
  readonly maskFill: Fill;
  readonly maskUpsampling: Upsampling;
  readonly ranking: Ranking;
  /** Each step takes floor(cells / steps) cells, at least 1; what is left over makes further steps. */
  readonly steps: number;
  readonly ties: TieRule;
  readonly score: ScoreKind;
  readonly classSource: ClassSource;
  readonly nan: NanPolicy;
}

export const METRIC_PRESETS = {
  /**
   * T. Gomez, T. Fréour, H. Mouchère, 'Metrics for saliency map evaluation of deep learning explanation methods' (2022), as
   * their library `saliency_maps_metrics` computes it when classes are given; the library that the FM-G-CAM paper used.
   */
  'gomez-2022': {
    deletionFill: 'zero',
    insertionFill: 'box-blur',
    maskFill: 'zero',
    maskUpsampling: 'nearest',
    ranking: 'native',
    steps: 14 * 14,
    ties: 'first',
    score: 'softmax',
    classSource: 'given',
    nan: 'refuse',
  },
  /** V. Petsiuk, A. Das, K. Saenko, 'RISE: Randomized Input Sampling for Explanation of Black-box Models' (2018). */
  rise: {
    deletionFill: 'zero',
    insertionFill: 'gaussian-blur',
    maskFill: 'zero',
    maskUpsampling: 'bilinear',
    ranking: 'pixels',
    steps: 224,
    ties: 'first',
    score: 'softmax',
    classSource: 'image',
    nan: 'refuse',
  },
} as const satisfies Record<string, MetricSettings>;
export type MetricPreset = keyof typeof METRIC_PRESETS;

const CHOICES: { readonly [Name in keyof MetricSettings]: readonly string[] } = {
  deletionFill: FILLS,
  insertionFill: FILLS,
  maskFill: FILLS,
  maskUpsampling: UPSAMPLINGS,
  ranking: RANKINGS,
  steps: [],
  ties: TIE_RULES,
  score: SCORES,
  classSource: CLASS_SOURCES,
  nan: NAN_POLICIES,
};

/**
 * The settings of a preset, with changes.
 * @throws UsageError for names and numbers that do not exist
 */
export function metricSettings(preset: MetricPreset, changes: Partial<MetricSettings> = {}): MetricSettings {
  if (!Object.hasOwn(METRIC_PRESETS, preset))
    throw new UsageError(`metric preset "${preset}" is unknown; use ${Object.keys(METRIC_PRESETS).join(' or ')}`);
  const settings: MetricSettings = { ...METRIC_PRESETS[preset], ...changes };
  for (const [name, value] of Object.entries(settings)) {
    const choices = Object.entries(CHOICES).find(([key]) => key === name)?.[1];
    if (!choices) throw new UsageError(`metric setting "${name}" is unknown; use ${Object.keys(CHOICES).join(', ')}`);
    if (name !== 'steps' && !choices.includes(String(value)))
      throw new UsageError(`metric setting ${name} "${value}" is unknown; use ${choices.join(', ')}`);
  }
  if (!Number.isInteger(settings.steps) || settings.steps < 1)
    throw new UsageError(`metric setting steps is ${settings.steps}; use a whole number of 1 or more`);
  return settings;
}

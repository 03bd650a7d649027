import { InputError, UsageError } from '../errors.ts';
import { upsample } from '../image/overlay.ts';
import { add, deviceOf, mul, relu, resize, sub, tensor, where } from '../kernels/index.ts';
import { type Scope, tidy, withScope } from '../tensor/scope.ts';
import { at, formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { fillOf } from './fill.ts';
import { type Frames, type ScoreFunction, type Scores, type ScoringOptions, scoreFrames } from './frames.ts';
import { type RankedMap, rank } from './ranking.ts';
import { hasNan, minMax, requireMap, type SaliencyMap, sparsity } from './saliency-map.ts';
import type { Fill, MetricSettings } from './settings.ts';
import { shareSteps } from './shared-steps.ts';
import { areaUnderCurve, correlation } from './statistics.ts';

/** A map to be measured, and the class that it speaks for. */
export interface MapOfClass extends SaliencyMap {
  /** Index of the followed class; needed where the settings' class source is `given`. */
  readonly class?: number;
}

/** The names of the numbers that `faithfulness` measures. */
export const FAITHFULNESS = ['iauc', 'ic', 'dauc', 'dc', 'ad', 'iic', 'add', 'sparsity'] as const;
export type FaithfulnessMetric = (typeof FAITHFULNESS)[number];

/** How well a map names the pixels that a score depends on. What is not defined is null, and `undefinedBecause` says why. */
export interface Faithfulness extends Readonly<Record<FaithfulnessMetric, number | null>> {
  /** The class whose score was followed, for deletion (and AD, IIC, ADD) and for insertion. */
  readonly classes: { readonly deletion: number; readonly insertion: number };
  /** The score after 0, 1, ... steps. */
  readonly curves: { readonly deletion: readonly number[]; readonly insertion: readonly number[] };
  /** How many cells share their value with another one, so that the tie rule had a say in the order. */
  readonly tied: number;
  readonly undefinedBecause: Readonly<Partial<Record<FaithfulnessMetric, string>>>;
  readonly settings: MetricSettings;
}

/**
 * Measures maps of one image against a model.
 *
 * - DAUC, IAUC: area under the score while the most salient pixels are removed from the image, or put into the fill first
 *   (Petsiuk et al. 2018). DC, IC: correlation of the change of score in each step with the saliency of the pixels of that
 *   step (Gomez et al. 2022).
 * - AD = max(0, s - s')/s and IIC = [s' > s] (Chattopadhay et al. 2018), with s' the score of the image times the map; ADD =
 *   (s - s'')/s (Jung and Oh 2021), with s'' the score of the image times 1 - map. Maps are stretched to [0,1] and upsampled
 *   as the settings say.
 * - Sparsity: see `sparsity`.
 *
 * @param score raw scores [N, classes] of pictures [N,C,H,W]; the settings say whether they go through a softmax
 * @param image [1,C,H,W], normalised as the model wants it
 * @param maps of any size up to that of the image
 * @throws UsageError for sizes, classes and settings that do not fit, InputError for values that are not finite
 */
export async function faithfulness(
  score: ScoreFunction,
  image: Tensor,
  maps: readonly MapOfClass[],
  settings: MetricSettings,
  options: ScoringOptions = {},
): Promise<Faithfulness[]> {
  const [N, , H = 0, W = 0] = image.shape;
  if (image.rank !== 4 || N !== 1)
    throw new UsageError(`the image must be [1,C,H,W], not ${formatShape(image.shape)}; measure images one by one`);
  for (const map of maps) checkMap(map, H, W, settings);
  return withScope(async (scope) => {
    const x = scope.enter(image);
    const fills = fillsOf(x, settings);
    const ranked = maps.map((map) => rankedMap(map, H, W, settings));
    const { made, sources: sourcesOf } = shareSteps(ranked);
    const sources = [
      single(x),
      ...[...fills.values()].map(single),
      ...maps.flatMap((map, m) => framesOf(x, map, at(ranked, m), at(made, m), fills, settings, scope)),
    ];
    const batchSize = options.batchSize ?? BATCH_SIZE[deviceOf(image).kind];
    const [ofImage, ...rest] = await scoreFrames(score, settings.score, sources, { ...options, batchSize });
    const ofFills = new Map([...fills.keys()].map((fill, i) => [fill, at(at(rest, i), 0)]));
    const ends: Ends = { image: at(at([ofImage ?? []], 0), 0), fills: ofFills };
    checkScores(ends.image, maps);
    const scoresOf = (map: number, what: number) => at(rest, fills.size + SOURCES * map + what);
    return maps.map((map, m) => {
      const curve = (what: number) => at(sourcesOf, m).map(({ map, position }) => at(scoresOf(map, what), position));
      return measured(map, at(ranked, m), ends, [curve(0), curve(1), scoresOf(m, 2), scoresOf(m, 3)], settings);
    });
  });
}

/**
 * The default: large enough that a forward pass is busy, small enough that its activations do not crowd out the memory; on
 * a CPU, which is busy with one picture, that they stay near it.
 */
const BATCH_SIZE = { cpu: 8, webgpu: 32 } as const;

/** Deletion, insertion, the image times the map, the image times 1 - map. */
const SOURCES = 4;

/** The scores, of all classes, that all maps of an image share. */
interface Ends {
  readonly image: ArrayLike<number>;
  readonly fills: ReadonlyMap<Fill, ArrayLike<number>>;
}

function checkMap(map: MapOfClass, H: number, W: number, { nan, classSource }: MetricSettings): void {
  requireMap(map, nan);
  if (map.height > H || map.width > W)
    throw new UsageError(`a map of ${formatShape([map.height, map.width])} is larger than the image, ${H} x ${W}`);
  if (classSource === 'given' && map.class === undefined)
    throw new UsageError('class source "given" needs a class with each map; name it, or take "image"');
}

function checkScores(scores: ArrayLike<number>, maps: readonly MapOfClass[]): void {
  if (!Array.from(scores).every(Number.isFinite))
    throw new InputError('the scores of the image are not finite; look for NaN or infinite values in the weights');
  for (const { class: index = 0 } of maps) {
    if (!Number.isInteger(index) || index < 0 || index >= scores.length)
      throw new UsageError(`class ${index} is out of range: the model has ${scores.length} classes`);
  }
}

/** Each fill that the settings name, once. */
function fillsOf(image: Tensor, { deletionFill, insertionFill, maskFill }: MetricSettings): Map<Fill, Tensor> {
  return new Map([...new Set([deletionFill, insertionFill, maskFill])].map((fill) => [fill, fillOf(image, fill)]));
}

function rankedMap(map: SaliencyMap, H: number, W: number, { ranking, steps, ties }: MetricSettings): RankedMap {
  if (ranking === 'native') return rank(map, steps, ties);
  const data = upsample({ ...map, data: Float32Array.from(map.data) }, H, W);
  return rank({ data, height: H, width: W }, steps, ties);
}

function single(picture: Tensor): Frames {
  return { count: 1, build: () => picture.alias() };
}

/** All pictures that a map needs, except the image and the fills themselves. */
function framesOf(
  image: Tensor,
  map: SaliencyMap,
  ranked: RankedMap,
  made: readonly number[],
  fills: ReadonlyMap<Fill, Tensor>,
  { deletionFill, insertionFill, maskFill, maskUpsampling }: MetricSettings,
  scope: Scope,
): Frames[] {
  const device = deviceOf(image);
  const size = [at(image.shape, 2), at(image.shape, 3)] as const;
  const fill = (name: Fill) => fills.get(name) ?? image;
  const stepOf = tensor(device, ranked.stepOf, [1, 1, ranked.height, ranked.width], { scope });
  const stepAt = resize(stepOf, { size, mode: 'nearest' });
  const saliency = tensor(device, minMax(map), [1, 1, map.height, map.width], { scope });
  const mask = resize(saliency, { size, mode: maskUpsampling });
  return [
    steps(image, fill(deletionFill), stepAt, made),
    steps(fill(insertionFill), image, stepAt, made),
    { count: 1, build: () => mix(fill(maskFill), image, mask) },
    { count: 1, build: () => mix(image, fill(maskFill), mask) },
  ];
}

/** The pictures between two, after each of the steps `made`. */
function steps(start: Tensor, end: Tensor, stepAt: Tensor, made: readonly number[]): Frames {
  return {
    count: made.length,
    build: (from, to) =>
      tidy([start, end, stepAt], (start, end, stepAt) => {
        const done = Float32Array.from(made.slice(from, to));
        const taken = tensor(deviceOf(start), done, [done.length, 1, 1, 1], { scope: start.scope });
        // Not 0 where the step that takes the pixel is still to come.
        return where(relu(sub(stepAt, taken)), start, end);
      }),
  };
}

/** a + (b - a) mask */
function mix(a: Tensor, b: Tensor, mask: Tensor): Tensor {
  return tidy([a, b, mask], (a, b, mask) => add(a, mul(sub(b, a), mask)));
}

function measured(
  map: MapOfClass,
  ranked: RankedMap,
  { image, fills }: Ends,
  [deleted = [], inserted = [], kept = [], dropped = []]: readonly Scores[],
  settings: MetricSettings,
): Faithfulness {
  const fill = (name: Fill) => fills.get(name) ?? image;
  const followed = (start: ArrayLike<number>) => {
    if (settings.classSource === 'given') return map.class ?? 0;
    return indexOfMaximum(settings.classSource === 'image' ? image : start);
  };
  const classes = { deletion: followed(image), insertion: followed(fill(settings.insertionFill)) };
  const of = (index: number, frames: Scores) => frames.map((scores) => at(scores, index));
  const deletion = of(classes.deletion, [image, ...deleted, fill(settings.deletionFill)]);
  const insertion = of(classes.insertion, [fill(settings.insertionFill), ...inserted, image]);

  const score = at(image, classes.deletion);
  const [keptScore = 0] = of(classes.deletion, kept);
  const [droppedScore = 0] = of(classes.deletion, dropped);
  const ratio = (difference: number) => (score === 0 ? null : difference / score);
  const withNan = hasNan(map);
  const values: Record<FaithfulnessMetric, number | null> = {
    iauc: areaUnderCurve(insertion),
    ic: correlation(changes(insertion), ranked.saliency),
    dauc: areaUnderCurve(deletion),
    dc: correlation(
      changes(deletion).map((change) => -change),
      ranked.saliency,
    ),
    ad: withNan ? null : ratio(Math.max(score - keptScore, 0)),
    iic: withNan ? null : Number(keptScore > score),
    add: withNan ? null : ratio(score - droppedScore),
    sparsity: sparsity(map),
  };
  return {
    ...values,
    classes,
    curves: { deletion, insertion },
    tied: ranked.tied,
    undefinedBecause: reasons(values, ranked, withNan),
    settings,
  };
}

function changes(scores: readonly number[]): number[] {
  return scores.slice(1).map((score, i) => score - at(scores, i));
}

function reasons(
  values: Readonly<Record<FaithfulnessMetric, number | null>>,
  { saliency }: RankedMap,
  withNan: boolean,
): Faithfulness['undefinedBecause'] {
  const constant = saliency.every((value) => value === saliency[0]);
  const reason = (metric: FaithfulnessMetric) => {
    if (withNan) return 'the map has NaN';
    if (metric === 'ad' || metric === 'add') return 'the score of the image is 0';
    if (metric === 'sparsity') return 'the map is constant';
    return constant ? 'all steps are equally salient' : 'the score does not change';
  };
  return Object.fromEntries(FAITHFULNESS.filter((name) => values[name] === null).map((name) => [name, reason(name)]));
}

function indexOfMaximum(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (at(values, i) > at(values, best)) best = i;
  return best;
}

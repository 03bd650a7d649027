import { classMaps, normalise, topClasses } from '../../cam/algorithm.ts';
import { type Explanation, explainTensor } from '../../cam/explain.ts';
import { hostMaps } from '../../cam/host-maps.ts';
import { METHOD_NAMES, type MethodName, namedMethod } from '../../cam/methods.ts';
import { cumulativeImportance, normaliseRows } from '../../cam/reference.ts';
import { InputError, UsageError } from '../../errors.ts';
import type { RgbImage } from '../../image/image.ts';
import { type Preprocessed, type Preprocessing, preprocess } from '../../image/preprocess.ts';
import { type Filter, resize } from '../../image/resample.ts';
import type { Device } from '../../kernels/device.ts';
import { relu, softmax, tensor } from '../../kernels/index.ts';
import type { Model } from '../../nn/model.ts';
import { tidy, withScope } from '../../tensor/scope.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type Faithfulness, faithfulness } from '../faithfulness.ts';
import type { ScoringOptions } from '../frames.ts';
import type { ObjectMask } from '../localisation.ts';
import { rangeOf, type SaliencyMap } from '../saliency-map.ts';
import { type MetricSettings, metricSettings } from '../settings.ts';
import { type Located, locate } from './ground-truth.ts';

/* The evaluation of the FM-G-CAM paper (its section 5, Table 3), twice: as its authors' code does it, and as its text says. */

export const PROTOCOLS = ['published', 'described'] as const;
/** `published`: what the authors' evaluation code computes. `described`: what the paper's text says. See docs/evaluation.md. */
export type Protocol = (typeof PROTOCOLS)[number];

export interface MapRequest {
  readonly layer: string;
  /** The classes to be explained, in the order of their ranks. */
  readonly classes: readonly number[];
  readonly signal?: AbortSignal;
}

/** A method under test: maps [1,K,I,J] of the K classes of one image [1,3,H,W]. */
export type MapMethod = (model: Model, input: Tensor, request: MapRequest) => Promise<Tensor>;

/** A method that is made of what `explainTensor` computes. */
function fromExplanation(method: MethodName, maps: (explanation: Explanation) => Tensor): MapMethod {
  const { info } = namedMethod(method);
  return async (model, input, { layer, ...request }) => {
    using explanation = await explainTensor(model, input, { ...request, method, ...(info.layer && { layer }) });
    const result = maps(explanation);
    result.moveTo(input.scope);
    return result;
  };
}

/**
 * Equation 6, of which each class has its own part; for maps that are not fused the same norm and activation, without the
 * maximum filter.
 */
function asDescribed(name: MethodName): MapMethod {
  return fromExplanation(
    name,
    ({ tensors: { fused, raw } }) => fused?.alias() ?? tidy([raw], (raw) => relu(normalise(raw))),
  );
}

/** The methods that the authors' code evaluates, and all that have a map for each class. */
const METHODS: { readonly [Name in Protocol]: Readonly<Record<string, MapMethod>> } = {
  published: {
    // No maximum filter; class k weighted by the product of alpha[1] ... alpha[k]; L2 norms over image rows.
    'fm-g-cam': fromExplanation('fm-g-cam', ({ steps: { alpha, activations } }) =>
      tidy([alpha, activations], (alpha, a) => relu(normaliseRows(classMaps(cumulativeImportance(alpha), a)))),
    ),
    'grad-cam': fromExplanation('grad-cam', ({ steps }) => relu(steps.R)),
  },
  described: Object.fromEntries(
    METHOD_NAMES.map(namedMethod).flatMap(({ name, info }) => (info.perClass ? [[name, asDescribed(name)]] : [])),
  ),
};

export function methodsOf(protocol: Protocol): string[] {
  return Object.keys(METHODS[protocol]);
}

/** Everything that decides about the numbers of an evaluation. Two results files can be joined if it is equal. */
export interface EvaluationSettings {
  readonly protocol: Protocol;
  readonly model: string;
  /** SHA-256 of the weight file. */
  readonly weights: string;
  readonly layer: string;
  /** The first one is compared with each of the others. */
  readonly methods: readonly string[];
  /** How many of the most probable classes are explained. */
  readonly topK: number;
  /** Before the preprocessing: the image is squashed to a square of so many pixels. */
  readonly squashFirst: { readonly size: number; readonly filter: Filter } | null;
  readonly preprocessing: Preprocessing;
  /** The class whose score is followed: the one at the rank, or the one whose index is the rank, counted from 0. */
  readonly scoredClass: 'at-rank' | 'rank-as-index';
  /** What becomes of an image for which a metric is undefined with one of the methods: it goes for all, or for that one. */
  readonly samples: 'paired' | 'each';
  readonly metrics: MetricSettings;
  /** Where there is ground truth: the share of the map's largest value from which a pixel counts as marked. */
  readonly iouThreshold: number;
}

/** The choices of a protocol that do not depend on the model. */
export function protocolChoices(
  protocol: Protocol,
  changes: Partial<MetricSettings> = {},
): Pick<EvaluationSettings, 'scoredClass' | 'samples' | 'metrics'> {
  return protocol === 'published'
    ? {
        scoredClass: 'rank-as-index',
        samples: 'each',
        metrics: metricSettings('gomez-2022', { deletionFill: 'box-blur', nan: 'tie', ...changes }),
      }
    : {
        scoredClass: 'at-rank',
        samples: 'paired',
        // 'Starts with a blank image'.
        metrics: metricSettings('gomez-2022', { insertionFill: 'zero', ...changes }),
      };
}

/** Where the authors' code taps the network: the last convolution of the last stage, before its normalisation. */
export function publishedLayer(model: Model): string {
  const { layer } = model.architecture;
  return model.layers().findLast((name) => name.startsWith(`${layer}.`) && /conv\d+$/.test(name)) ?? layer;
}

/** The network's input for an image, as the settings have it. */
export function prepare(photo: RgbImage, { squashFirst, preprocessing }: EvaluationSettings): Preprocessed {
  if (!squashFirst) return preprocess(photo, preprocessing);
  const { size, filter } = squashFirst;
  const prepared = preprocess(resize(photo, size, size, filter), preprocessing);
  const { x, y, width, height } = prepared.region;
  const [scaleX, scaleY] = [photo.width / size, photo.height / size];
  return { ...prepared, region: { x: x * scaleX, y: y * scaleY, width: width * scaleX, height: height * scaleY } };
}

/** A mask as the network would see it: inside is what is at least half covered. */
function maskSeen(mask: RgbImage, settings: EvaluationSettings): ObjectMask {
  const data = mask.data.map((_, i) => (mask.data.subarray(i - (i % 3), i - (i % 3) + 3).some(Boolean) ? 255 : 0));
  const { seen } = prepare({ ...mask, data }, settings);
  const { width, height } = seen;
  return { data: Array.from({ length: width * height }, (_, i) => at(seen.data, 3 * i) >= 128), height, width };
}

/** One of the most probable classes of an image, its map by one method, and how faithful that is. */
export interface RankResult {
  readonly index: number;
  readonly probability: number;
  readonly map: SaliencyMap;
  readonly metrics: Faithfulness;
  /** Undefined where there is no ground truth for the class. */
  readonly located: Located | undefined;
}

export interface ImageOptions extends ScoringOptions {
  /** Where the objects of a class are, in the photograph: every pixel that is not black. */
  readonly masks?: ReadonlyMap<number, RgbImage>;
}

/**
 * Runs all methods of the settings on one image.
 * @returns for each method, one result for each rank
 * @throws UsageError for a method that the protocol does not have, InputError when the network does not return numbers
 */
export async function evaluateImage(
  model: Model,
  device: Device,
  photo: RgbImage,
  settings: EvaluationSettings,
  { masks, ...options }: ImageOptions = {},
): Promise<RankResult[][]> {
  const { protocol, methods, topK, layer, scoredClass, iouThreshold } = settings;
  return withScope(async (scope) => {
    const { input, shape } = prepare(photo, settings);
    const x = tensor(device, input, shape, { scope });
    const probabilities = await softmax(model.forward(x), 1).data();
    if (!Array.from(probabilities).every(Number.isFinite))
      throw new InputError(
        `${model.name}: the probabilities are not finite; look for NaN or infinite values in the weights`,
      );
    const classes = topClasses(probabilities, topK);
    const maps: SaliencyMap[] = [];
    for (const name of methods) {
      const found = await mapMethod(protocol, name)(model, x, {
        layer,
        classes,
        ...(options.signal && { signal: options.signal }),
      });
      maps.push(...(await classMapsOf(found, protocol)));
    }
    // All maps of an image share forward passes.
    const measured = await faithfulness(
      (batch) => model.forward(batch),
      x,
      maps.map((map, i) => ({ ...map, class: scoredClass === 'at-rank' ? at(classes, i % topK) : i % topK })),
      settings.metrics,
      options,
    );
    const objects = new Map(Array.from(masks ?? [], ([index, mask]) => [index, maskSeen(mask, settings)]));
    return methods.map((_, m) =>
      classes.map((index, rank) => {
        const map = at(maps, m * topK + rank);
        const object = objects.get(index);
        return {
          index,
          probability: at(probabilities, index),
          map,
          metrics: at(measured, m * topK + rank),
          located: object && locate(map, object, iouThreshold),
        };
      }),
    );
  });
}

export function mapMethod(protocol: Protocol, name: string): MapMethod {
  const methods = METHODS[protocol];
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (!method)
    throw new UsageError(`method "${name}" is unknown to protocol ${protocol}; use ${methodsOf(protocol).join(', ')}`);
  return method;
}

/** Each class's map on the host. The authors' code stretches each to [0,1], whereby a constant one becomes 0/0. */
async function classMapsOf(maps: Tensor, protocol: Protocol): Promise<SaliencyMap[]> {
  const hosted = await hostMaps(maps);
  if (protocol === 'described') return hosted;
  return hosted.map((map) => {
    const { least, most } = rangeOf(map);
    return { ...map, data: map.data.map((value) => (value - least) / (most - least)) };
  });
}

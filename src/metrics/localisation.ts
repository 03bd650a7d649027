import { UsageError } from '../errors.ts';
import { upsample } from '../image/overlay.ts';
import { at, formatShape } from '../tensor/shape.ts';
import { rangeOf, requireMap, type SaliencyMap } from './saliency-map.ts';

/** Where an object of a class is: 1 inside, 0 outside, row by row. */
export interface ObjectMask {
  readonly data: ArrayLike<number | boolean>;
  readonly height: number;
  readonly width: number;
}

export interface LocalisationOptions {
  /** The share of the map's largest value from which a pixel counts as marked. */
  readonly threshold?: number;
}

/** The names of the numbers that `localisation` measures. */
export const LOCALISATION = ['pointing', 'energy', 'iou'] as const;
export type LocalisationMetric = (typeof LOCALISATION)[number];

/** How well a map finds an object. What is not defined, because the map has no positive value, is null. */
export interface Localisation extends Readonly<Record<LocalisationMetric, number | null>> {
  /** Pointing game (Zhang et al. 2018, without tolerance): 1 when the map's maximum, the first of several, is inside. */
  readonly pointing: 0 | 1 | null;
  /** The share of the map's positive values that is inside (energy-based pointing game, Wang et al. 2020). */
  readonly energy: number | null;
  /** Intersection over union of the object and the pixels at or above the threshold. */
  readonly iou: number | null;
  readonly threshold: number;
}

/** A fifth of the maximum, as Zhou et al. (2016) and Selvaraju et al. (2017, 15 %) cut their maps about. */
export const DEFAULT_THRESHOLD = 0.2;

/**
 * Compares a map with the ground truth for its class; several classes are compared one by one.
 * @param map upsampled bilinearly to the mask's size
 * @throws UsageError for sizes that do not fit, a threshold outside (0,1], or a mask without a pixel inside
 */
export function localisation(
  map: SaliencyMap,
  mask: ObjectMask,
  { threshold = DEFAULT_THRESHOLD }: LocalisationOptions = {},
): Localisation {
  requireMap(map);
  const { height, width } = mask;
  if (mask.data.length !== height * width)
    throw new UsageError(
      `a mask of ${mask.data.length} values does not have the shape ${formatShape([height, width])}`,
    );
  if (!(threshold > 0 && threshold <= 1)) throw new UsageError(`threshold is ${threshold}; use more than 0, at most 1`);
  const inside = Uint8Array.from({ length: mask.data.length }, (_, i) => (mask.data[i] ? 1 : 0));
  const objectPixels = inside.reduce((sum, value) => sum + value, 0);
  if (objectPixels === 0) throw new UsageError('the mask has no pixel inside; leave out classes without ground truth');

  const values = upsample({ ...map, data: Float32Array.from(map.data) }, height, width);
  const { most } = rangeOf({ data: values, height, width });
  if (most <= 0) return { pointing: null, energy: null, iou: null, threshold };
  let [within, total, marked, both] = [0, 0, 0, 0];
  for (const [i, value] of values.entries()) {
    const hit = at(inside, i);
    total += Math.max(value, 0);
    within += hit * Math.max(value, 0);
    if (value < threshold * most) continue;
    marked += 1;
    both += hit;
  }
  return {
    pointing: inside[values.indexOf(most)] ? 1 : 0,
    energy: within / total,
    iou: both / (marked + objectPixels - both),
    threshold,
  };
}

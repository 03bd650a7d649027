import { LOCALISATION, type LocalisationMetric, localisation, type ObjectMask } from '../localisation.ts';
import { hasNan, type SaliencyMap } from '../saliency-map.ts';

/** How well a map finds the object of its class; what is not defined is null, and `undefinedBecause` says why. */
export interface Located extends Readonly<Record<LocalisationMetric, number | null>> {
  readonly undefinedBecause: Readonly<Partial<Record<LocalisationMetric, string>>>;
}

/** Compares a map with the part of the object's mask that the network saw, which may be nothing. */
export function locate(map: SaliencyMap, object: ObjectMask, threshold: number): Located {
  if (hasNan(map)) return undefinedBecause('the map has NaN');
  if (!Array.from(object.data).some(Boolean)) return undefinedBecause('the object is outside of what the network saw');
  const { pointing, energy, iou } = localisation(map, object, { threshold });
  return pointing === null
    ? undefinedBecause('the map has no positive value')
    : { pointing, energy, iou, undefinedBecause: {} };
}

function undefinedBecause(reason: string): Located {
  const reasons = Object.fromEntries(LOCALISATION.map((metric) => [metric, reason]));
  return { pointing: null, energy: null, iou: null, undefinedBecause: reasons };
}

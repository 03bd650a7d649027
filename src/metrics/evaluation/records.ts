import { InputError } from '../../errors.ts';
import { FAITHFULNESS, type FaithfulnessMetric } from '../faithfulness.ts';
import { LOCALISATION, type LocalisationMetric } from '../localisation.ts';
import { interpolate } from '../statistics.ts';
import type { EvaluationSettings, RankResult } from './protocol.ts';

/* The lines of a results file: a header, then one line for each image and method, or one for an image that failed. */

export const FORMAT = 'fm-g-cam evaluation';
export const VERSION = 1;

/** Which images of the list a file is about: those at positions index - 1, index - 1 + count, ... */
export interface Shard {
  /** From 1 to `count`. */
  readonly index: number;
  readonly count: number;
}

/** The whole list, not only the shard. */
export interface ImageList {
  readonly images: number;
  /** SHA-256 of the sorted names, each ended by a line feed. */
  readonly sha256: string;
  /** SHA-256 of the names of the masks; null where there are none. */
  readonly masks: string | null;
}

export interface Header {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  readonly settings: EvaluationSettings;
  readonly list: ImageList;
  readonly shard: Shard;
}

/** Everything that is measured of a map. */
export const METRICS = [...FAITHFULNESS, ...LOCALISATION] as const;
export type Metric = (typeof METRICS)[number];

/** Null where a metric is not defined; without ground truth there is no localisation. */
export type Measurements = Readonly<
  Record<FaithfulnessMetric, number | null> & Partial<Record<LocalisationMetric, number | null>>
>;

export interface RankRecord extends Measurements {
  /** The explained class. */
  readonly index: number;
  readonly class: string;
  readonly probability: number;
  /** The class whose score was followed. */
  readonly scored: number;
  readonly tied: number;
  readonly undefinedBecause?: Readonly<Record<string, string>>;
  /** The curves at 0, 1/20, ... 1 of their steps. */
  readonly deletion: readonly number[];
  readonly insertion: readonly number[];
  /** For pictures: the map relative to its maximum, in 256 levels; null with NaN. */
  readonly map: { readonly height: number; readonly width: number; readonly levels: readonly number[] } | null;
}

export interface ResultRecord {
  readonly image: string;
  readonly method: string;
  readonly ranks: readonly RankRecord[];
}

export interface ErrorRecord {
  readonly image: string;
  readonly error: string;
}

export type ImageRecord = ResultRecord | ErrorRecord;

export function isError(record: ImageRecord): record is ErrorRecord {
  return 'error' in record;
}

/** Points of a curve that a record keeps. */
export const CURVE_POINTS = 21;

export function rankRecord({ index, probability, map, metrics, located }: RankResult, label: string): RankRecord {
  const { classes, curves, tied } = metrics;
  const undefinedBecause = { ...metrics.undefinedBecause, ...located?.undefinedBecause };
  const measured = { ...metrics, ...located };
  const names = METRICS.filter((name) => measured[name] !== undefined);
  const values = Object.fromEntries(names.map((name) => [name, measured[name]])) as Measurements;
  return {
    index,
    class: label,
    probability,
    scored: classes.deletion,
    ...values,
    tied,
    ...(Object.keys(undefinedBecause).length > 0 && { undefinedBecause }),
    deletion: sampled(curves.deletion),
    insertion: sampled(curves.insertion),
    map: levelsOf(map),
  };
}

/** Linear interpolation at equally spaced points, to six digits. */
function sampled(curve: readonly number[]): number[] {
  return Array.from({ length: CURVE_POINTS }, (_, i) =>
    Number(interpolate(curve, i / (CURVE_POINTS - 1)).toPrecision(6)),
  );
}

function levelsOf({ data, height, width }: RankResult['map']): RankRecord['map'] {
  const values = Array.from(data);
  if (values.some(Number.isNaN)) return null;
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  return {
    height,
    width,
    levels: values.map((value) => (most > 0 ? Math.round((255 * Math.max(value, 0)) / most) : 0)),
  };
}

/** @throws InputError unless the line is the header of a results file of this version */
export function parseHeader(line: string, file: string): Header {
  const header = parseObject(line);
  if (header?.format !== FORMAT)
    throw new InputError(`${file}: is no results file of \`fmgcam evaluate\`; name another file`);
  if (header.version !== VERSION)
    throw new InputError(`${file}: has version ${header.version} of the format, not ${VERSION}; evaluate again`);
  return header as unknown as Header;
}

/** @throws InputError unless the line is a record of one of these methods */
export function parseRecord(line: string, methods: readonly string[], where: string): ImageRecord {
  const record = parseObject(line);
  const isResult =
    typeof record?.image === 'string' &&
    (typeof record.error === 'string' ||
      (typeof record.method === 'string' && methods.includes(record.method) && Array.isArray(record.ranks)));
  if (!isResult) throw new InputError(`${where}: is no result; take the line out, and the image is evaluated again`);
  return record as unknown as ImageRecord;
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The first setting in which two differ, as `metrics.steps: 196, not 49`; undefined where they are equal. */
export function firstDifference(here: unknown, there: unknown, path = ''): string | undefined {
  if (isBranch(here) && isBranch(there)) {
    for (const key of new Set([...Object.keys(here), ...Object.keys(there)])) {
      const difference = firstDifference(here[key], there[key], path ? `${path}.${key}` : key);
      if (difference) return difference;
    }
    return undefined;
  }
  const [a, b] = [JSON.stringify(here), JSON.stringify(there)];
  return a === b ? undefined : `${path}: ${a}, not ${b}`;
}

function isBranch(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

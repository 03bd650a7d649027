import { at } from '../../tensor/shape.ts';
import type { FaithfulnessMetric } from '../faithfulness.ts';
import { LOCALISATION } from '../localisation.ts';
import { interpolate, meanOf } from '../statistics.ts';
import { bootstrapInterval, type Interval, permutationTest } from './inference.ts';
import type { EvaluationSettings } from './protocol.ts';
import { CURVE_POINTS, type ImageRecord, isError, METRICS, type Metric } from './records.ts';

/** The metrics of the paper's Table 3, in its order. */
export const TABLE_METRICS = ['iauc', 'ic', 'dauc', 'dc'] as const satisfies readonly FaithfulnessMetric[];

export interface Mean {
  readonly count: number;
  readonly mean: number | null;
}

/** Least value, quartiles, largest value. */
export type Quartiles = readonly [number, number, number, number, number];

export interface Row {
  readonly method: string;
  /** From 1 on. */
  readonly rank: number;
  readonly means: Readonly<Record<Metric, Mean>>;
  readonly quartiles: Readonly<Record<Metric, Quartiles | null>>;
  /** Mean curves at 21 points. */
  readonly deletion: readonly number[];
  readonly insertion: readonly number[];
}

/** The first method minus another one, over the images for which both have a value. */
export interface Difference {
  readonly method: string;
  readonly minus: string;
  readonly rank: number;
  readonly metric: Metric;
  readonly pairs: number;
  readonly mean: number | null;
  /** 95 %, by bootstrap. */
  readonly interval: Interval | null;
  /** Two-sided paired permutation test; not corrected for the number of comparisons. */
  readonly p: number | null;
}

export interface Summary {
  readonly settings: EvaluationSettings;
  readonly images: number;
  readonly failed: number;
  readonly seed: number;
  readonly rows: readonly Row[];
  readonly differences: readonly Difference[];
}

/** Seeds the bootstrap and the permutations. */
const SEED = 20_240_310;

/** Numbers in the order in which they come, 8 bytes each. */
class Column {
  #values = new Float64Array(64);
  #length = 0;

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const longer = new Float64Array(2 * this.#length);
      longer.set(this.#values);
      this.#values = longer;
    }
    this.#values[this.#length++] = value;
  }

  get values(): Float64Array {
    return this.#values.subarray(0, this.#length);
  }
}

/** What is collected of a method at a rank: for each image a row, with NaN for what is undefined. */
class Samples {
  readonly columns = new Map(METRICS.map((name) => [name, new Column()]));
  readonly deletion = new Float64Array(CURVE_POINTS);
  readonly insertion = new Float64Array(CURVE_POINTS);

  values(metric: Metric): Float64Array {
    return this.columns.get(metric)?.values ?? new Float64Array();
  }

  get images(): number {
    return this.values('iauc').length;
  }
}

/** Takes the records of a results file, in any order of the images, and sums them up. */
export class Summariser {
  readonly #settings: EvaluationSettings;
  readonly #samples: readonly (readonly Samples[])[];
  /** Results of images of which not all methods have come yet. */
  readonly #waiting = new Map<string, Map<string, Extract<ImageRecord, { ranks: unknown }>>>();
  #images = 0;
  #failed = 0;

  constructor(settings: EvaluationSettings) {
    this.#settings = settings;
    this.#samples = settings.methods.map(() => Array.from({ length: settings.topK }, () => new Samples()));
  }

  add(record: ImageRecord): void {
    if (isError(record)) {
      this.#failed += 1;
      return;
    }
    const { methods } = this.#settings;
    const ofImage = this.#waiting.get(record.image) ?? new Map();
    ofImage.set(record.method, record);
    if (ofImage.size < methods.length) {
      this.#waiting.set(record.image, ofImage);
      return;
    }
    this.#waiting.delete(record.image);
    this.#images += 1;
    for (const [m, method] of methods.entries()) this.#take(m, ofImage.get(method));
  }

  #take(m: number, record: Extract<ImageRecord, { ranks: unknown }> | undefined): void {
    for (const [k, rank] of (record?.ranks ?? []).entries()) {
      const samples = at(at(this.#samples, m), k);
      for (const [metric, column] of samples.columns) column.push(rank[metric] ?? Number.NaN);
      for (const curve of ['deletion', 'insertion'] as const)
        for (let i = 0; i < CURVE_POINTS; i++) samples[curve][i] = at(samples[curve], i) + at(rank[curve], i);
    }
  }

  summary(): Summary {
    const { methods, topK } = this.#settings;
    const ranks = Array.from({ length: topK }, (_, k) => k);
    const rows = methods.flatMap((method, m) => ranks.map((k) => this.#row(method, m, k)));
    const compared: readonly Metric[] = [
      ...TABLE_METRICS,
      ...LOCALISATION.filter((metric) => isMeasured(rows, metric)),
    ];
    return {
      settings: this.#settings,
      images: this.#images,
      failed: this.#failed,
      seed: SEED,
      rows,
      differences: methods
        .slice(1)
        .flatMap((minus, m) =>
          ranks.flatMap((k) => compared.map((metric) => this.#difference(minus, m + 1, k, metric))),
        ),
    };
  }

  #row(method: string, m: number, k: number): Row {
    const samples = at(at(this.#samples, m), k);
    const curve = (sums: Float64Array) =>
      samples.images === 0 ? [] : Array.from(sums, (sum) => Number((sum / samples.images).toPrecision(6)));
    const means: Partial<Record<Metric, Mean>> = {};
    const quartiles: Partial<Record<Metric, Quartiles | null>> = {};
    for (const metric of METRICS) {
      const values = samples
        .values(metric)
        .filter((_, i) => this.#counts(m, k, metric, i))
        .sort();
      means[metric] = { count: values.length, mean: values.length > 0 ? meanOf(values) : null };
      quartiles[metric] = values.length > 0 ? quartilesOf(values) : null;
    }
    return {
      method,
      rank: k + 1,
      means: means as Row['means'],
      quartiles: quartiles as Row['quartiles'],
      deletion: curve(samples.deletion),
      insertion: curve(samples.insertion),
    };
  }

  /** Whether the value of image i goes into a mean: where it is defined, and with paired samples for all other methods too. */
  #counts(m: number, k: number, metric: Metric, i: number): boolean {
    const defined = (ofMethod: readonly Samples[]) => !Number.isNaN(at(ofMethod, k).values(metric)[i]);
    return this.#settings.samples === 'each' ? defined(at(this.#samples, m)) : this.#samples.every(defined);
  }

  #difference(minus: string, other: number, k: number, metric: Metric): Difference {
    const theirs = at(at(this.#samples, other), k).values(metric);
    const differences = at(at(this.#samples, 0), k)
      .values(metric)
      .map((value, i) => value - at(theirs, i))
      .filter((value) => !Number.isNaN(value))
      // The answer shall not depend on the order of the images, which differs between one run and merged shards.
      .sort();
    return {
      method: at(this.#settings.methods, 0),
      minus,
      rank: k + 1,
      metric,
      pairs: differences.length,
      mean: differences.length > 0 ? meanOf(differences) : null,
      interval: bootstrapInterval(differences, SEED),
      p: permutationTest(differences, SEED),
    };
  }
}

function quartilesOf(sorted: Float64Array): Quartiles {
  const [least, first, median, third, most] = [0, 0.25, 0.5, 0.75, 1].map((q) => interpolate(sorted, q));
  return [least ?? 0, first ?? 0, median ?? 0, third ?? 0, most ?? 0];
}

/** How metrics are written. */
const LABELS: Readonly<Record<Metric, string>> = {
  iauc: 'IAUC',
  ic: 'IC',
  dauc: 'DAUC',
  dc: 'DC',
  ad: 'AD',
  iic: 'IIC',
  add: 'ADD',
  sparsity: 'sparsity',
  pointing: 'pointing',
  energy: 'energy',
  iou: 'IoU',
};

/** The metrics beside those of Table 3 that have a value. */
export function otherMetrics(summary: Summary): Metric[] {
  return METRICS.filter((metric) => !TABLE_METRICS.some((name) => name === metric) && isMeasured(summary.rows, metric));
}

function isMeasured(rows: readonly Row[], metric: Metric): boolean {
  return rows.some(({ means }) => means[metric].count > 0);
}

/** Means by method and class rank, in the layout of the paper's Table 3: a head, then the rows. */
export function meansTable({ rows }: Summary, metrics: readonly Metric[]): string[][] {
  return [
    ['CAM type', 'class rank', ...metrics.flatMap((metric) => [`mean ${LABELS[metric]}`, 'n'])],
    ...rows.map(({ method, rank, means }) => [
      method,
      String(rank),
      ...metrics.flatMap((metric) => [formatNumber(means[metric].mean), String(means[metric].count)]),
    ]),
  ];
}

/** The paired differences: a head, then the rows. */
export function differencesTable({ differences }: Summary): string[][] {
  return [
    ['difference', 'class rank', 'metric', 'pairs', 'mean', '95 % interval', 'p'],
    ...differences.map(({ method, minus, rank, metric, pairs, mean, interval, p }) => [
      `${method} - ${minus}`,
      String(rank),
      LABELS[metric],
      String(pairs),
      formatNumber(mean),
      interval ? `[${formatNumber(interval.low)}, ${formatNumber(interval.high)}]` : '-',
      p === null ? '-' : formatP(p),
    ]),
  ];
}

/** What has to be known of the differences. */
export function differencesNote({ differences, seed }: Summary): string {
  return `95 % intervals: percentile bootstrap of the mean; p: two-sided paired permutation test, not corrected for ${differences.length} comparisons; seed ${seed}`;
}

/** The paper's Table 3, the other metrics, and the paired differences below it, for a terminal. */
export function formatSummary(summary: Summary): string {
  const { settings, images, failed, differences } = summary;
  const heading = `protocol ${settings.protocol}: ${settings.model} at ${settings.layer}, ${images} images${failed > 0 ? `, ${failed} more failed` : ''}`;
  const others = otherMetrics(summary);
  return [
    heading,
    '',
    ...align(meansTable(summary, TABLE_METRICS)),
    ...(others.length > 0 ? ['', ...align(meansTable(summary, others))] : []),
    ...(differences.length > 0 ? ['', ...align(differencesTable(summary)), differencesNote(summary)] : []),
  ].join('\n');
}

function formatNumber(value: number | null): string {
  return value === null ? '-' : value.toFixed(6);
}

function formatP(p: number): string {
  return p < 0.0001 ? '< 0.0001' : p.toFixed(4);
}

/** Rows of cells as columns: the first to the left, the others to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths = at(rows, 0).map((_, column) => Math.max(...rows.map((row) => at(row, column).length)));
  return rows.map((row) =>
    row.map((cell, c) => (c === 0 ? cell.padEnd(at(widths, c)) : cell.padStart(at(widths, c)))).join('  '),
  );
}

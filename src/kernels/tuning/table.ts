import { InputError, messageOf } from '../../errors.ts';
import { isRecord } from '../../record.ts';
import { type ProductSize, type ShaderTarget, TILINGS, type Tiling } from '../webgpu/tiles.ts';
import { shippedFor } from './shipped.ts';

/* Tables of what was measured to be fastest, made by `fmgcam tune`. */

/** What tells adapters and their drivers apart. */
export const IDENTITY = ['vendor', 'architecture', 'device', 'description'] as const;
export type AdapterIdentity = Readonly<Record<(typeof IDENTITY)[number], string>>;

/** What was measured of one matrix product. */
export interface Trial {
  /** Milliseconds with each tiling that computes what the TypeScript kernels compute. */
  readonly times: Readonly<Partial<Record<Tiling, number>>>;
  /** Why the others are out. */
  readonly rejected: Readonly<Partial<Record<Tiling, string>>>;
}

export interface TuningTable {
  readonly format: typeof FORMAT;
  readonly adapter: AdapterIdentity;
  /** The version of this library whose kernels were timed. */
  readonly library: string;
  /** By `productKey`. */
  readonly trials: Readonly<Record<string, Trial>>;
}

const FORMAT = 'fm-g-cam tuning 1';

export function emptyTable(adapter: AdapterIdentity, library: string): TuningTable {
  return { format: FORMAT, adapter: identityOf(adapter), library, trials: {} };
}

export function identityOf({ vendor, architecture, device, description }: AdapterIdentity): AdapterIdentity {
  return { vendor, architecture, device, description };
}

export function productKey({ groups, channels, pixels, depth, weightGradient }: ProductSize): string {
  return `${groups} x ${channels} channels, ${pixels} ${weightGradient ? 'rows' : 'pixels'}, ${depth} deep`;
}

/** The fastest of the tilings that are correct. */
export function fastest({ times }: Trial): { tiling: Tiling; milliseconds: number } | undefined {
  const sorted = TILINGS.flatMap((tiling) => {
    const milliseconds = times[tiling];
    return milliseconds === undefined ? [] : [{ tiling, milliseconds }];
  }).sort((a, b) => a.milliseconds - b.milliseconds);
  return sorted[0];
}

/**
 * What was measured on an adapter: on this machine, or else on another one with the same driver.
 * @param table the user's
 */
export function measuredOn(
  { description }: AdapterIdentity,
  { trials }: Pick<TuningTable, 'trials'> = { trials: {} },
): Pick<ShaderTarget, 'measured' | 'rejected'> {
  const shipped = shippedFor(description);
  const measured: ShaderTarget['measured'] = (size) => {
    const trial = trials[productKey(size)];
    const best = trial && fastest(trial);
    if (best)
      return { tiling: best.tiling, reason: `${best.milliseconds.toPrecision(3)} ms, the fastest by fmgcam tune` };
    const tiling = shipped?.[productKey(size)];
    return tiling && { tiling, reason: 'the fastest on such adapters, by the table that comes with fm-g-cam' };
  };
  const rejected = TILINGS.filter((tiling) => Object.values(trials).some((trial) => tiling in trial.rejected));
  const some = shipped !== undefined || Object.keys(trials).length > 0;
  return { measured: some ? measured : undefined, rejected: new Set(rejected) };
}

/**
 * Reads a table.
 * @param file for messages
 * @throws InputError where it is no such table
 */
export function parseTable(text: string, file: string): TuningTable {
  const wrong = (what: string) => new InputError(`${file}: is no tuning table: ${what}`);
  let table: unknown;
  try {
    table = JSON.parse(text);
  } catch (error) {
    throw wrong(messageOf(error));
  }
  if (!isRecord(table) || table.format !== FORMAT) throw wrong(`its "format" is not "${FORMAT}"`);
  const { adapter, library, trials } = table;
  if (!isRecord(adapter) || !IDENTITY.every((key) => typeof adapter[key] === 'string')) throw wrong('no "adapter"');
  if (typeof library !== 'string') throw wrong('no "library"');
  if (!isRecord(trials)) throw wrong('no "trials"');
  for (const [key, trial] of Object.entries(trials)) if (!isTrial(trial)) throw wrong(`the trial "${key}"`);
  return table as unknown as TuningTable;
}

function isTrial(trial: unknown): boolean {
  if (!isRecord(trial) || !isRecord(trial.times) || !isRecord(trial.rejected)) return false;
  const { times, rejected } = trial;
  const known: readonly string[] = TILINGS;
  return (
    [times, rejected].every((part) => Object.keys(part).every((tiling) => known.includes(tiling))) &&
    Object.values(times).every((time) => typeof time === 'number' && time > 0 && Number.isFinite(time)) &&
    Object.values(rejected).every((reason) => typeof reason === 'string')
  );
}

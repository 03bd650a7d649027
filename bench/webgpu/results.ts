import type { Ceilings } from './ceilings.ts';

/* The file that people trade: `results.schema.json` says what is in it. */

export const FORMAT = 'fm-g-cam webgpu benchmark';
export const VERSION = 1;

export interface Results {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** Year, month and day. */
  readonly date: string;
  readonly library: string;
  readonly host: Host;
  readonly adapter: Adapter;
  readonly ceilings: Ceilings;
  readonly layers: readonly LayerResult[];
}

export interface Host {
  /** Node, Deno or a browser, with its version. */
  readonly runtime: string;
  readonly system: string;
  readonly processor: string;
  readonly cores: number;
}

export interface Adapter {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** Empty where WebGPU does not tell. */
  readonly driver: string;
  readonly backend: string;
  readonly software: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  /** How fine timestamps of the GPU are, in nanoseconds; null where there are none. */
  readonly timestampStep: number | null;
}

/** Pages are often not told more than the maker and the family. */
export function adapterName({ description, device, vendor, architecture }: Adapter): string {
  return description || device || [vendor, architecture].filter((word) => word !== '').join(' ') || 'an adapter';
}

/** A convolution that some of the networks have. */
export interface LayerResult {
  readonly name: string;
  /** How often each network has it. */
  readonly networks: Readonly<Record<string, number>>;
  /** Of the plain sums. */
  readonly operations: number;
  /** Operands and result, each once. */
  readonly bytes: number;
  /** The variant that the library takes. */
  readonly chosen: string;
  readonly reason: string;
  readonly variants: readonly Variant[];
}

export interface Variant {
  /** A tiling, an algorithm that is not the plain sum, or f16: weights in half precision. */
  readonly name: string;
  /** Relative L2 distance to the TypeScript kernels; null where it failed. */
  readonly error: number | null;
  /** Why it was not timed; null where it was. */
  readonly rejected: string | null;
  /** Milliseconds on the host's clock, in the order of the runs. */
  readonly wall: readonly number[];
  /** The same by the GPU's timestamps; empty where there are none. */
  readonly gpu: readonly number[];
  /** Milliseconds: a step of the timestamps, shared by the runs between two of them; only where there are any. */
  readonly resolution?: number;
}

export interface Speed {
  /** Milliseconds: by the GPU's clock where it is fine enough, else by the host's. */
  readonly milliseconds: number;
  readonly clock: 'gpu' | 'wall';
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** The time in which the ceilings would have it done. */
  readonly floor: number;
  /** That time over the measured one. */
  readonly ofCeiling: number;
}

/** Steps of a clock in a time, for it to be trusted. */
export const STEPS = 50;

/** The fastest run of a variant; undefined where it was not timed. */
export function speedOf(
  { operations, bytes }: LayerResult,
  { wall, gpu, resolution }: Variant,
  { ceilings, adapter: { timestampStep } }: Pick<Results, 'ceilings' | 'adapter'>,
): Speed | undefined {
  if (wall.length === 0) return undefined;
  const onGpu = gpu.length > 0 ? Math.min(...gpu) : 0;
  const fine = timestampStep !== null && onGpu > STEPS * (resolution ?? timestampStep / 1e6);
  const milliseconds = fine ? onGpu : Math.min(...wall);
  const floor = floorOf({ operations, bytes }, ceilings);
  return {
    milliseconds,
    clock: fine ? 'gpu' : 'wall',
    gflops: operations / milliseconds / 1e6,
    gigabytesPerSecond: bytes / milliseconds / 1e6,
    floor,
    ofCeiling: floor / milliseconds,
  };
}

/** Milliseconds for operations and traffic at the measured ceilings: the longer of the two. */
export function floorOf({ operations, bytes }: Pick<LayerResult, 'operations' | 'bytes'>, ceilings: Ceilings): number {
  return Math.max(operations / ceilings.gflops, bytes / ceilings.gigabytesPerSecond) / 1e6;
}

import type { TuningTable } from '../../src/kernels/tuning/table.ts';
import type { Settle } from '../../src/kernels/webgpu/settle.ts';
import type { Host, Results } from './results.ts';

/* The benchmark runs in Node, in Deno and in pages: what it wants from outside, and nothing of any of them. */

/** What to measure. */
export interface Task {
  readonly models: readonly string[];
  readonly rounds: number;
  /** Only layers whose name has this in it. */
  readonly only?: string;
}

/** What it runs on. */
export interface Surroundings {
  /** `navigator.gpu`, or what the package `webgpu` creates. */
  readonly source: GPU;
  readonly settle: Settle;
  readonly host: Host;
  /** Year, month and day. */
  readonly date: string;
  /** Version of fm-g-cam. */
  readonly library: string;
  /** What was measured before, to go on from. */
  readonly before: Results | undefined;
  /** The user's tuning of an adapter. */
  readonly findTable: (info: GPUAdapterInfo) => Promise<TuningTable | undefined>;
  /** Keeps the results so far; called whenever there are more. */
  readonly save: (results: Results) => Promise<void> | void;
  readonly report: (progress: Progress) => Promise<void> | void;
  /** Ends it between two layers. */
  readonly signal?: AbortSignal;
}

export interface Progress {
  readonly line: string;
  /** Layers that are measured, of those that will be. */
  readonly done: number;
  readonly total: number;
}

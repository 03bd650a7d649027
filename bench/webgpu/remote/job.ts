import { isRecord } from '../../../src/record.ts';
import type { Progress, Task } from '../host.ts';
import type { Host, Results } from '../results.ts';

/* What the command and the page, or the program in Deno, tell each other: JSON, posted to these paths. */

export const PATHS = { job: '/job', progress: '/progress', results: '/results', done: '/done', failed: '/failed' };

/** The answer to `/job`. */
export interface Job {
  /** Who measures: the last who asked. Everything else is posted with it. */
  readonly session: string;
  readonly task: Task;
  readonly date: string;
  readonly library: string;
  /** The machine, where it is certain that the command runs on the same. */
  readonly machine: Omit<Host, 'runtime'> | null;
  readonly before: Results | null;
}

/** What everything else is posted as. */
export interface Message {
  readonly session: string;
  readonly content: unknown;
}

export const isMessage = (value: unknown): value is Message =>
  isRecord(value) && typeof value.session === 'string' && 'content' in value;

export const isProgress = (value: unknown): value is Progress =>
  isRecord(value) &&
  typeof value.line === 'string' &&
  typeof value.done === 'number' &&
  typeof value.total === 'number';

import type { TuningTable } from './table.ts';

/** A page has no files: it may pass a table that it got by itself. */
export async function findUserTable(): Promise<TuningTable | undefined> {
  return undefined;
}

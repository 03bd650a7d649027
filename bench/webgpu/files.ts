import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { InputError, messageOf } from '../../src/errors.ts';
import schema from './results.schema.json' with { type: 'json' };
import type { Results } from './results.ts';
import { type Schema, violation } from './schema.ts';

/** @throws InputError, in one line that names the file */
export function readResults(file: string): Results {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new InputError(`${file}: cannot be read as JSON: ${messageOf(error)}`);
  }
  return asResults(value, file);
}

/**
 * What came as JSON.
 * @param where it came from
 * @throws InputError, in one line that names it
 */
export function asResults(value: unknown, where: string): Results {
  const wrong = violation(value, schema satisfies Schema);
  if (wrong) throw new InputError(`${where}: these are no results of this version of the benchmark: ${wrong}`);
  return value as Results;
}

/** The results so far, if the file exists. */
export function resultsSoFar(file: string | undefined): Results | undefined {
  return file !== undefined && existsSync(file) ? readResults(file) : undefined;
}

/** All or nothing. */
export function writeResults(file: string, results: Results): void {
  const partial = `${file}.partial`;
  writeFileSync(partial, `${JSON.stringify(results)}\n`);
  renameSync(partial, file);
}

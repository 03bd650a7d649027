import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder } from '../../cache-folder.ts';
import { InputError, messageOf } from '../../errors.ts';
import { libraryVersion } from '../../library-version.ts';
import { type AdapterIdentity, IDENTITY, parseTable, type TuningTable } from './table.ts';

/* The user's own table, where there are files. Browsers have user-table.browser.ts in this place ("browser" in package.json). */

/** The file of what was measured on an adapter, with its driver, by this version. */
export function userTableFile(adapter: AdapterIdentity): string {
  const words = [...IDENTITY.map((key) => adapter[key]), libraryVersion()];
  const name = words.map((word) => word.replace(/[^\p{L}\p{N}.]+/gu, '-').replace(/^-|-$/g, '')).join('_');
  return join(cacheFolder(process.platform, process.env, homedir()), 'tuning', `${name}.json`);
}

/**
 * The table in a file; undefined where there is none yet.
 * @throws InputError for one that is damaged or of something else, with advice
 */
export async function readTable(file: string, adapter: AdapterIdentity): Promise<TuningTable | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new InputError(`${file}: cannot be read: ${messageOf(error)}; ${ADVICE}`);
  }
  try {
    const table = parseTable(text, file);
    if (IDENTITY.some((key) => table.adapter[key] !== adapter[key])) {
      throw new InputError(`${file}: was measured on "${table.adapter.description}"`);
    }
    if (table.library !== libraryVersion()) throw new InputError(`${file}: was measured by version ${table.library}`);
    return table;
  } catch (error) {
    throw new InputError(`${messageOf(error)}; ${ADVICE}`);
  }
}

const ADVICE = 'delete it, and run "fmgcam tune" again';

/** The user's table for an adapter. A damaged one is said to be ignored. */
export async function findUserTable(adapter: AdapterIdentity): Promise<TuningTable | undefined> {
  try {
    return await readTable(userTableFile(adapter), adapter);
  } catch (error) {
    process.emitWarning(`${messageOf(error)}; until then it is ignored`, 'FmgcamWarning');
    return undefined;
  }
}

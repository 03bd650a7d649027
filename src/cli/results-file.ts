import { closeSync, createReadStream, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { InputError } from '../errors.ts';
import {
  firstDifference,
  type Header,
  type ImageRecord,
  isError,
  parseHeader,
  parseRecord,
} from '../metrics/evaluation/records.ts';
import { reasonOf } from './files.ts';

/* Results as JSON Lines: written so that a run can be killed at any moment, and read line by line. */

/** A line, and where in the file it ends. A last line without a line feed was cut off. */
interface Line {
  readonly text: string;
  readonly number: number;
  readonly end: number;
  readonly whole: boolean;
}

async function* linesOf(file: string): AsyncGenerator<Line> {
  let rest = Buffer.alloc(0);
  let number = 0;
  let end = 0;
  const line = (bytes: Buffer, whole: boolean): Line => {
    number += 1;
    end += bytes.length + Number(whole);
    return { text: bytes.toString('utf8'), number, end, whole };
  };
  try {
    for await (const chunk of createReadStream(file)) {
      rest = Buffer.concat([rest, chunk]);
      let start = 0;
      for (let feed = rest.indexOf(10); feed >= 0; feed = rest.indexOf(10, start)) {
        yield line(rest.subarray(start, feed), true);
        start = feed + 1;
      }
      rest = rest.subarray(start);
    }
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(`${file}: cannot be read: ${reasonOf(error)}`);
  }
  if (rest.length > 0) yield line(rest, false);
}

/** What a results file holds. The records come one by one; `cut` tells, after the last one, of a line that was cut off. */
export interface Results {
  readonly header: Header;
  readonly records: AsyncGenerator<ImageRecord>;
  /** Bytes up to the end of the last whole line, after the records have been read. */
  length(): number;
}

/**
 * Opens a results file for reading. A last line that was cut off is left out.
 * @returns undefined for a file without a whole line
 * @throws InputError for a file of another kind, a broken line, and an image that comes twice
 */
export async function readResults(file: string): Promise<Results | undefined> {
  const lines = linesOf(file);
  const first = (await lines.next()).value;
  if (!first?.whole) {
    // A header that was cut off has begun as one; anything else is not ours to write over.
    if (first && !'{"format":"fm-g-cam evaluation"'.startsWith(first.text.slice(0, 31))) parseHeader(first.text, file);
    return undefined;
  }
  const header = parseHeader(first.text, file);
  let length = first.end;
  async function* records(): AsyncGenerator<ImageRecord> {
    const seen = new Seen();
    for await (const { text, number, end, whole } of lines) {
      if (!whole) return;
      const record = parseRecord(text, header.settings.methods, `${file}, line ${number}`);
      seen.add(record, file);
      length = end;
      yield record;
    }
  }
  return { header, records: records(), length: () => length };
}

/** The images and methods that have a record. */
export class Seen {
  readonly #methods = new Map<string, Set<string>>();

  /** @throws InputError for a record that is there already */
  add(record: ImageRecord, file: string): void {
    const methods = this.#methods.get(record.image) ?? new Set();
    const name = isError(record) ? ERROR : record.method;
    if (methods.has(name) || methods.has(ERROR) || (name === ERROR && methods.size > 0))
      throw new InputError(
        `${file}: ${record.image}${isError(record) ? '' : ` with ${record.method}`} is counted twice; take one of the lines out`,
      );
    methods.add(name);
    this.#methods.set(record.image, methods);
  }

  has(image: string, method: string): boolean {
    const methods = this.#methods.get(image);
    return methods !== undefined && (methods.has(method) || methods.has(ERROR));
  }

  failed(image: string): boolean {
    return this.#methods.get(image)?.has(ERROR) === true;
  }

  /** The images that have a record of every method, or of their failure. */
  complete(methods: readonly string[]): string[] {
    return [...this.#methods.keys()].filter((image) => methods.every((method) => this.has(image, method)));
  }
}

/** Stands for the methods of an image that failed. */
const ERROR = '';

/** Appends whole lines to a results file, which it holds locked. */
export class ResultsWriter {
  readonly #file: string;
  readonly #descriptor: number;
  readonly #lock: Lock | undefined;
  #length: number;

  private constructor(file: string, descriptor: number, length: number, lock: Lock | undefined) {
    this.#file = file;
    this.#descriptor = descriptor;
    this.#length = length;
    this.#lock = lock;
  }

  /**
   * Begins a results file, or goes on with one after taking off a line that was cut.
   * @param seen is told what is there already
   * @throws InputError when the file belongs to another run, is being written, or cannot be written
   */
  static async open(file: string, header: Header, seen: Seen): Promise<ResultsWriter> {
    const found = await stat(file).catch(() => undefined);
    // A device or a pipe has no content to go on with, and nothing beside it to lock.
    if (found && !found.isFile()) {
      const writer = new ResultsWriter(file, openForAppend(file), 0, undefined);
      writer.append(header);
      return writer;
    }
    const lock = await Lock.take(file);
    try {
      const results = found ? await readResults(file) : undefined;
      if (results) {
        requireSameRun(results.header, header, file);
        for await (const record of results.records) seen.add(record, file);
      }
      const descriptor = openForAppend(file);
      const length = results?.length() ?? 0;
      ftruncateSync(descriptor, length);
      const writer = new ResultsWriter(file, descriptor, length, lock);
      if (!results) writer.append(header);
      return writer;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Writes the records as one piece, so that they are there together or not at all. */
  append(...records: readonly (Header | ImageRecord)[]): void {
    const bytes = Buffer.from(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
    try {
      for (let written = 0; written < bytes.length; )
        written += writeSync(this.#descriptor, bytes, written, bytes.length - written);
    } catch (error) {
      this.#takeBack();
      throw new InputError(
        `${this.#file}: cannot be written: ${reasonOf(error)}; what was written before is kept: make room, and run the same command again`,
      );
    }
    this.#length += bytes.length;
    this.#lock?.touch();
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
    await this.#lock?.release();
  }

  /** Takes off what a failed write has left; if that fails too, the next run does it. */
  #takeBack(): void {
    try {
      ftruncateSync(this.#descriptor, this.#length);
    } catch {}
  }
}

function openForAppend(file: string): number {
  try {
    return openSync(file, 'a');
  } catch (error) {
    throw new InputError(`${file}: cannot be written: ${reasonOf(error)}`);
  }
}

function requireSameRun(there: Header, here: Header, file: string): void {
  const setting = firstDifference(there.settings, here.settings);
  if (setting) throw new InputError(`${file}: comes from other settings (${setting}); name another file`);
  const sameImages = there.list.images === here.list.images && there.list.sha256 === here.list.sha256;
  if (firstDifference(there.list, here.list))
    throw new InputError(
      `${file}: comes from another list of ${there.list.images} images${sameImages ? ' with other masks' : ''}; name another file`,
    );
  if (firstDifference(there.shard, here.shard))
    throw new InputError(
      `${file}: holds shard ${there.shard.index}/${there.shard.count}, and this is shard ${here.shard.index}/${here.shard.count}; give each shard a file of its own`,
    );
}

/** A lock that has not been touched for so long belongs to a run that was killed on another machine. */
const STALE_AFTER_MS = 10 * 60_000;
const TOUCH_EVERY_MS = 10_000;

/** A file beside the results that says which process writes them. */
class Lock {
  readonly #path: string;
  #touched = Date.now();

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws InputError while another process holds it */
  static async take(file: string): Promise<Lock> {
    const path = `${file}.lock`;
    for (;;) {
      if (await createNew(path, file)) return new Lock(path);
      const owner = await readFile(path, 'utf8').catch(() => '');
      if (!(await isStale(path, owner))) {
        const [pid = '?', host = '?'] = owner.split(' ');
        throw new InputError(
          `${file}: is being written by process ${pid} on ${host}; give each shard a file of its own, or, if that process is gone, remove ${path}`,
        );
      }
      // Of several that find it stale, the one whose rename succeeds removes it.
      const aside = `${path}.${process.pid}`;
      await rename(path, aside).catch(() => {});
      await rm(aside, { force: true });
    }
  }

  /** Shows that the process is alive. */
  touch(): void {
    const now = Date.now();
    if (now - this.#touched < TOUCH_EVERY_MS) return;
    this.#touched = now;
    utimes(this.#path, new Date(now), new Date(now)).catch(() => {});
  }

  async release(): Promise<void> {
    await rm(this.#path, { force: true });
  }
}

/** Makes the lock, unless it is there. */
async function createNew(path: string, file: string): Promise<boolean> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'wx');
    await handle.writeFile(`${process.pid} ${hostname()}`);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (handle) await rm(path, { force: true });
    throw new InputError(`${file}: cannot be written: ${reasonOf(error)}`);
  } finally {
    await handle?.close();
  }
}

async function isStale(path: string, owner: string): Promise<boolean> {
  const [pid, host] = owner.split(' ');
  // A container that starts anew may have the number and the name of the one that was killed.
  if (host === hostname()) return Number(pid) === process.pid || !isRunning(Number(pid));
  try {
    return Date.now() - statSync(path).mtimeMs > STALE_AFTER_MS;
  } catch {
    return true;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { InputError, UsageError } from '../errors.ts';
import { firstDifference, type Header } from '../metrics/evaluation/records.ts';
import { at } from '../tensor/shape.ts';
import { printSummary, summaryOf } from './evaluate.ts';
import { reasonOf, requireFolderOf } from './files.ts';
import { digest } from './image-list.ts';
import { jsonOption, progress } from './options.ts';
import { type Results, readResults, Seen } from './results-file.ts';

export function mergeCommand(): Command {
  return new Command('merge')
    .description('join the results of shards, and check that nothing is missing or counted twice')
    .argument('<results...>', 'files that `fmgcam evaluate` has written')
    .requiredOption('--out <file>', 'the joined results')
    .addOption(jsonOption())
    .action(run);
}

async function run(files: readonly string[], { out, json }: { out: string; json?: true }): Promise<void> {
  const paths = files.map((file) => resolve(file));
  const twice = files.find((_, i) => paths.indexOf(at(paths, i)) !== i);
  if (twice !== undefined) throw new UsageError(`${twice} is given twice`);
  await requireFolderOf(out);
  if (await stat(out).catch(() => undefined))
    throw new InputError(`${out}: is there already; name another file, or remove it`);
  await merge(files, out);
  printSummary(await summaryOf(out), json);
}

/** Joins into a file that is there whole or not at all; reads line by line. */
async function merge(files: readonly string[], out: string): Promise<void> {
  const parts = await Promise.all(files.map(open));
  const [first] = parts;
  if (!first) throw new UsageError('name the results to be merged');
  for (const part of parts) requireSameEvaluation(first, part);
  const whole: Header = { ...first.results.header, shard: { index: 1, count: 1 } };
  const seen = new Seen();
  const partial = `${out}.${process.pid}.partial`;
  try {
    const stream = createWriteStream(partial, { flags: 'wx' });
    const failed = once(stream, 'error').then(([error]) => {
      throw error;
    });
    failed.catch(() => {});
    const write = async (record: object) => {
      if (!stream.write(`${JSON.stringify(record)}\n`)) await Promise.race([once(stream, 'drain'), failed]);
    };
    await write(whole);
    for (const { file, results } of parts) {
      const before = seen.complete(whole.settings.methods).length;
      for await (const record of results.records) {
        seen.add(record, file);
        await write(record);
      }
      requireWholeShard(file, results.header, seen.complete(whole.settings.methods).length - before);
    }
    requireAll(parts, seen);
    stream.end();
    await Promise.race([once(stream, 'finish'), failed]);
    await rename(partial, out);
  } catch (error) {
    await rm(partial, { force: true });
    throw error instanceof InputError ? error : new InputError(`${out}: cannot be written: ${reasonOf(error)}`);
  }
  progress(`${out}: ${whole.list.images} images from ${files.length} files`);
}

interface Part {
  readonly file: string;
  readonly results: Results;
}

async function open(file: string): Promise<Part> {
  const results = await readResults(file);
  if (!results) throw new InputError(`${file}: has no results; evaluate first`);
  return { file, results };
}

function requireSameEvaluation({ file: one, results: { header } }: Part, { file, results }: Part): void {
  const difference =
    firstDifference(results.header.settings, header.settings) ??
    firstDifference(results.header.list, header.list, 'list');
  if (difference)
    throw new InputError(`${file}: is of another evaluation than ${one} (${difference}); merge one at a time`);
}

/** The number of images of a shard is known from its place. */
function requireWholeShard(file: string, { shard, list }: Header, images: number): void {
  const expected = Math.ceil((list.images - (shard.index - 1)) / shard.count);
  if (images < expected)
    throw new InputError(
      `${file}: ${expected - images} of the ${expected} images of shard ${shard.index}/${shard.count} are missing; run that shard again, it goes on where it stopped`,
    );
}

function requireAll(parts: readonly Part[], seen: Seen): void {
  const { list, settings, shard } = at(parts, 0).results.header;
  const names = seen.complete(settings.methods).sort();
  if (names.length < list.images) {
    const given = new Set(parts.map(({ results }) => results.header.shard.index));
    const missing = Array.from({ length: shard.count }, (_, i) => i + 1).filter((index) => !given.has(index));
    throw new InputError(
      `${list.images - names.length} of ${list.images} images are missing: those of shard ${missing.map((index) => `${index}/${shard.count}`).join(', ')}; give all shards`,
    );
  }
  if (digest(names) !== list.sha256)
    throw new InputError(
      'the images of these files are not those of the list that their headers tell of; evaluate again',
    );
}

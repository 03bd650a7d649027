import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { dirname, extname, normalize, resolve, sep } from 'node:path';
import { classIndex } from '../cam/explain.ts';
import { InputError, messageOf, UsageError } from '../errors.ts';
import type { ImageList } from '../metrics/evaluation/records.ts';
import type { Model } from '../nn/model.ts';
import { read } from './files.ts';

/* Which images are evaluated: those of a folder, or those that a file names. */

export interface ListedImage {
  readonly name: string;
  /** Files with ground truth, by class index. */
  readonly masks: ReadonlyMap<number, string>;
}

export interface Images {
  /** Sorted by name. */
  readonly images: readonly ListedImage[];
  /** What the names are relative to, where they are not absolute. */
  readonly folder: string;
}

const EXTENSIONS = ['.jpg', '.jpeg', '.png'];

/** @throws InputError for a folder or list that names no image, or one twice */
export async function imagesOf(source: string, model: Model): Promise<Images> {
  const found = await stat(source).catch(() => undefined);
  if (!found) throw new InputError(`${source}: there is no such folder or list`);
  const [images, folder] = found.isDirectory()
    ? [await imagesInFolder(source), source]
    : [await imagesInList(source, model), dirname(source)];
  return { images: images.sort((a, b) => (a.name < b.name ? -1 : 1)), folder };
}

async function imagesInFolder(folder: string): Promise<ListedImage[]> {
  const entries = await readdir(folder, { recursive: true });
  const names = entries.filter((name) => EXTENSIONS.includes(extname(name).toLowerCase()));
  if (names.length === 0) throw new InputError(`${folder}: has no file that ends in ${EXTENSIONS.join(', ')}`);
  return names.map((name) => ({ name: name.split(sep).join('/'), masks: new Map() }));
}

async function imagesInList(file: string, model: Model): Promise<ListedImage[]> {
  if (EXTENSIONS.includes(extname(file).toLowerCase()))
    throw new UsageError(`${file} is an image; give a folder, or a text file that names images`);
  // A decoder leaves out the mark that some editors begin a file with.
  const lines = new TextDecoder().decode(await read(file)).split(/\r?\n/);
  const images = lines.flatMap((line, i) =>
    line.trim() === '' ? [] : [imageOfLine(line, model, `${file}, line ${i + 1}`)],
  );
  if (images.length === 0) throw new InputError(`${file}: names no image; write one into each line`);
  const files = new Set<string>();
  for (const { name } of images) {
    const image = resolve(dirname(file), name);
    if (files.has(image)) throw new InputError(`${file}: names ${name} twice; take one of the lines out`);
    files.add(image);
  }
  return images;
}

/** A line is a name, or JSON: `{"image": "a.jpg", "masks": {"cat": "a.cat.png"}}`. */
function imageOfLine(line: string, model: Model, where: string): ListedImage {
  if (!line.trimStart().startsWith('{')) return { name: normalize(line), masks: new Map() };
  const { image, masks = {} } = parseObject(line);
  const files = isObject(masks) ? Object.entries(masks) : [];
  if (typeof image !== 'string' || !isObject(masks) || !files.every(([, mask]) => typeof mask === 'string'))
    throw new InputError(`${where}: write {"image": "a.jpg", "masks": {"class": "mask.png"}}, or the name alone`);
  const byClass = new Map(files.map(([name, mask]) => [indexOf(model, name, where), String(mask)]));
  if (byClass.size < files.length) throw new InputError(`${where}: names one class twice`);
  return { name: normalize(image), masks: byClass };
}

function parseObject(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function indexOf(model: Model, name: string, where: string): number {
  try {
    return classIndex(model, name);
  } catch (error) {
    throw new InputError(`${where}: ${messageOf(error)}`);
  }
}

export function describeList(images: readonly ListedImage[]): ImageList {
  const masks = images.flatMap(({ name, masks }) =>
    [...masks].sort(([a], [b]) => a - b).map(([index, file]) => JSON.stringify([name, index, file])),
  );
  return {
    images: images.length,
    sha256: digest(images.map(({ name }) => name)),
    masks: masks.length > 0 ? digest(masks) : null,
  };
}

/** SHA-256 of lines, each ended by a line feed. */
export function digest(lines: readonly string[]): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(`${line}\n`);
  return hash.digest('hex');
}

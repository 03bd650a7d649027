import { access, constants, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { InputError, messageOf } from '../errors.ts';

/** The bytes of a file, or an error that names it. */
export async function read(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new InputError(`${file}: cannot be read: ${reasonOf(error)}`);
  }
}

/** Writes a file so that it is there whole or not at all. */
export async function write(file: string, bytes: Uint8Array): Promise<void> {
  const partial = `${file}.${process.pid}.partial`;
  try {
    await writeFile(partial, bytes);
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw new InputError(`${file}: cannot be written: ${reasonOf(error)}`);
  }
}

/** Makes a folder for results, or makes sure that there is one to write into, before the work starts. */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
    await access(folder, constants.W_OK);
  } catch (error) {
    throw new InputError(`${folder}: cannot be a folder for the results: ${reasonOf(error)}`);
  }
}

/** Fails unless the folder of a file to be written exists. */
export async function requireFolderOf(file: string): Promise<void> {
  const folder = dirname(file);
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw new InputError(`${file}: cannot be written: ${folder} is not a folder`);
}

/** `out/dog-cat.fm-g-cam.png` for a photograph `images/dog-cat.jpg` and the name `fm-g-cam`. */
export function resultPath(folder: string, image: string, name: string, format = 'png'): string {
  const safe = name.replace(/[^\p{L}\p{N}.+-]+/gu, '-');
  return join(folder, `${basename(image, extname(image))}.${safe}.${format}`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  EEXIST: 'a file of that name is in the way',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
};

/** What the system says of a file, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS[code] ?? messageOf(error);
}

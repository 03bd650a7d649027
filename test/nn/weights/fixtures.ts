import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { InputError } from '../../../src/errors.ts';

const CHECKPOINTS = new URL('../../expected/checkpoints/', import.meta.url);
const SHARED = new URL('../../../../shared/', import.meta.url);

/** A file that scripts/pytorch/checkpoints.py wrote. */
export function checkpoint(file: string): Uint8Array {
  return readFileSync(new URL(file, CHECKPOINTS));
}

/** The names of the checkpoints with expected values, without `.pth`. */
export function checkpointNames(): string[] {
  const suffix = '.safetensors';
  return readdirSync(CHECKPOINTS).flatMap((file) => (file.endsWith(suffix) ? file.slice(0, -suffix.length) : []));
}

export function sharedPath(path: string): URL {
  return new URL(path, SHARED);
}

/** The golden files lie beside the repository; without them tests are skipped, but not in continuous integration. */
export const skipShared = !existsSync(SHARED) && !process.env.CI;

/** The message of the InputError that this throws: one line that starts with the file's name. */
export function inputError(run: () => unknown, file = 'file.pth'): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    const { message } = error as InputError;
    expect(message.startsWith(`${file}: `), message).toBe(true);
    expect(message).not.toMatch(/[\n\r]/);
    return message;
  }
  return expect.fail('nothing was thrown');
}

/** What this returns, or undefined when it throws an InputError; any other error is a defect. */
export function resultOrInputError<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

/** A string of Latin-1 characters, a byte value or bytes. */
export type BytePart = string | number | Uint8Array;

export function bytesOf(...parts: readonly BytePart[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => {
      if (typeof part === 'number') return [part];
      return typeof part === 'string' ? [...part].map((character) => character.charCodeAt(0)) : [...part];
    }),
  );
}

/** A little-endian 64-bit integer. */
export function u64(value: number | bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  const index = Math.floor(bit / 8);
  copy[index] = (copy[index] ?? 0) ^ (1 << (bit % 8));
  return copy;
}

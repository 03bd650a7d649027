import { readFileSync } from 'node:fs';

/** [1,3,224,224] */
export const INPUT_SHAPE = [1, 3, 224, 224] as const;

/** The input of a job. */
export function readInput(file: string): Float32Array<ArrayBuffer> {
  return new Float32Array(Uint8Array.from(readFileSync(file)).buffer);
}

import { existsSync, readFileSync } from 'node:fs';
import type { RgbImage } from '../../src/image/image.ts';

export function expectedValues<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`./expected/${name}`, import.meta.url), 'utf8'));
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}

/** An image whose pixels all differ from their neighbours, the same on every run. */
export function noise(width: number, height: number): RgbImage {
  let state = 12345;
  const data = Uint8Array.from({ length: width * height * 3 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff; // the C standard's example generator
    return state >> 16;
  });
  return { width, height, data };
}

const SHARED = new URL('../../../shared/', import.meta.url);

/** Whether the golden values and photographs are there. Where CI is set, they must be. */
export const hasShared = process.env.CI !== undefined || existsSync(SHARED);

export function sharedFile(path: string): Uint8Array {
  return readFileSync(new URL(path, SHARED));
}

/** A reader of one safetensors file: the values of a tensor by its name. */
export function openGolden(path: string): (key: string) => Float32Array | Uint8Array {
  const bytes = Uint8Array.from(sharedFile(path)); // a copy, so that it starts at an aligned offset
  const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const start = 8 + headerLength;
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  return (key) => {
    const { dtype, data_offsets } = header[key];
    const content = bytes.slice(start + data_offsets[0], start + data_offsets[1]);
    return dtype === 'U8' ? content : new Float32Array(content.buffer);
  };
}

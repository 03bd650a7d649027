import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

/**
 * The JPEG decoder's WebAssembly file, which the decoder cannot fetch itself in Node. A bundle for browsers has
 * jpeg-wasm.browser.ts in this place ("browser" in package.json).
 */
export function readWasmBinary(): Promise<Uint8Array> {
  return readFile(createRequire(import.meta.url).resolve('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'));
}

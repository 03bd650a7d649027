import { DeviceError, InputError, messageOf } from '../errors.ts';
import { exifOrientation } from './exif.ts';
import { type RgbImage, withoutAlpha } from './image.ts';
import { readWasmBinary } from './jpeg-wasm.ts';

/** What a JPEG file says of itself before its first scan. */
export interface JpegHeader {
  readonly width: number;
  readonly height: number;
  readonly orientation: number;
}

const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const APP1 = 0xe1;
const EXIF = 'Exif\0\0';

/**
 * Reads the marker segments up to the first scan (ITU-T T.81, annex B).
 * @throws InputError if the file ends before the scan, or is of a kind that is not decoded (CMYK, 12 bits).
 */
export function readJpegHeader(bytes: Uint8Array, name: string): JpegHeader {
  let frame: { width: number; height: number } | undefined;
  let orientation: number | undefined;
  for (const { marker, content } of segments(bytes, name)) {
    if (isStartOfFrame(marker)) frame = readFrame(content, name);
    else if (marker === APP1 && startsWith(content, EXIF))
      orientation ??= exifOrientation(content.subarray(EXIF.length));
  }
  if (!frame) throw new InputError(`${name}: corrupt JPEG, it has no frame header; get a fresh copy`);
  return { ...frame, orientation: orientation ?? 1 };
}

/** The marker segments before the first scan, without their two length bytes. */
function* segments(bytes: Uint8Array, name: string): Generator<{ marker: number; content: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2; // after the start-of-image marker
  while (at + 4 <= bytes.length) {
    const marker = view.getUint8(at + 1);
    if (view.getUint8(at) !== 0xff || marker === 0xff) {
      at++; // a fill byte, or stray bytes between segments, which libjpeg skips too
      continue;
    }
    if (marker === START_OF_SCAN) return;
    if (marker === END_OF_IMAGE) break;
    if (isStandalone(marker)) {
      at += 2;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    if (end > bytes.length || end < at + 4) break;
    yield { marker, content: bytes.subarray(at + 4, end) };
    at = end;
  }
  throw new InputError(`${name}: truncated JPEG, it ends before the picture begins; get a fresh copy`);
}

/** Markers without a segment: byte stuffing, TEM and the restart markers. */
function isStandalone(marker: number): boolean {
  return marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd7);
}

/** SOF0 to SOF15, without the three codes in that range that mean something else: DHT, JPG and DAC. */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

function startsWith(content: Uint8Array, text: string): boolean {
  return content.length >= text.length && [...text].every((letter, i) => content[i] === letter.charCodeAt(0));
}

function readFrame(content: Uint8Array, name: string): { width: number; height: number } {
  if (content.length < 6) throw new InputError(`${name}: corrupt JPEG, its frame header is cut; get a fresh copy`);
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const precision = view.getUint8(0);
  const components = view.getUint8(5);
  if (precision !== 8) throw new InputError(`${name}: JPEG with ${precision} bits per sample; convert it to 8 bits`);
  if (components === 4) throw new InputError(`${name}: CMYK JPEG; convert it to RGB`);
  return { height: view.getUint16(1), width: view.getUint16(3) };
}

/** The part of the decoder's WebAssembly module that is used. */
interface Codec {
  /** `true` would apply the Exif orientation. */
  decode(bytes: Uint8Array, preserveOrientation: boolean): { width: number; height: number; data: ArrayLike<number> };
}

/**
 * Decodes a JPEG with libjpeg (mozjpeg compiled to WebAssembly), which is bit-exact with libjpeg-turbo and so with PIL
 * for chroma samplings 4:4:4, 4:2:2 and 4:2:0; for the rare 4:4:0 it differs by about 2 levels, as its chroma is
 * upsampled in the older way. The Exif orientation is not applied.
 *
 * libjpeg fills in what is missing and only prints a warning. A warning is an error here, because the network would be
 * shown, and explained on, a picture that is partly grey. Damage that leaves a valid Huffman stream cannot be seen.
 *
 * In a browser the decoder fetches `mozjpeg_dec.wasm` relative to the script that it is in, by
 * `new URL('mozjpeg_dec.wasm', import.meta.url)`. Vite's build and webpack see that and emit the file. With esbuild, copy it
 * from `@jsquash/jpeg/codec/dec/` to the folder of the bundle; for Vite's development server, list `@jsquash/jpeg` in
 * `optimizeDeps.exclude`. A Content-Security-Policy needs `script-src 'wasm-unsafe-eval'` and `connect-src 'self'`.
 * @throws InputError if the file is truncated or corrupt, DeviceError if the decoder cannot be loaded.
 */
export async function decodeJpeg(bytes: Uint8Array, name: string): Promise<RgbImage> {
  const messages: string[] = [];
  // One instance per picture: libjpeg's fatal errors leave an instance unusable, and its memory would only ever grow.
  const codec = await createCodec((line) => messages.push(line));
  messages.length = 0; // what it said while it was loaded is not about the picture
  try {
    const { width, height, data } = withImageData(() => codec.decode(bytes, false));
    if (messages.length === 0) return withoutAlpha(data, width, height);
  } catch (thrown) {
    messages.push(messageOf(thrown));
  }
  const [reason = 'it cannot be decoded'] = messages;
  throw new InputError(`${name}: corrupt or truncated JPEG (${reason.trim()}); get a fresh copy or save it again`);
}

async function createCodec(printErr: (line: string) => void): Promise<Codec> {
  const { default: factory } = await import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js');
  const wasmBinary = await readWasmBinary();
  const options = { noInitialRun: true, print: printErr, printErr, ...(wasmBinary && { wasmBinary }) };
  try {
    return await withImageData(() => factory(options));
  } catch (thrown) {
    throw new DeviceError(
      `the JPEG decoder cannot be loaded (${messageOf(thrown)}); serve mozjpeg_dec.wasm of @jsquash/jpeg beside the script`,
    );
  }
}

/**
 * Runs `action`, which must be synchronous, with a global `ImageData`: the decoder constructs one, and Node has none.
 * Without this the decoder would define it for the whole process and for good.
 */
function withImageData<T>(action: () => T): T {
  if ('ImageData' in globalThis) return action();
  Object.assign(globalThis, { ImageData: PlainImageData });
  try {
    return action();
  } finally {
    Reflect.deleteProperty(globalThis, 'ImageData');
  }
}

class PlainImageData {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;

  constructor(data: Uint8ClampedArray, width: number, height: number) {
    this.data = data;
    this.width = width;
    this.height = height;
  }
}

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError, Option } from 'commander';
import { InputError, UsageError } from '../errors.ts';
import { LONGEST_INPUT } from '../image/preprocess.ts';
import { PRECISIONS, type Precision } from '../kernels/cpu/device.ts';
import { MOST_THREADS } from '../kernels/cpu/threads/pool.ts';
import { DEVICE_CHOICES, type DeviceChoice, type OpenedDevice, openDevice } from '../kernels/index.ts';
import { loadModel, type Model } from '../nn/model.ts';
import { architecture, MODEL_NAMES } from '../nn/models/registry.ts';
import { parseSafetensors } from '../nn/weights/safetensors.ts';
import type { Shape } from '../tensor/shape.ts';
import { read, reasonOf } from './files.ts';

/* Options that several commands share, and what they mean. */

export interface ModelOptions {
  readonly model?: string;
  readonly weights?: string;
}

/** The network that comes with the package, see `models/`. */
const OWN_MODEL = 'resnet-scenes';
const OWN_WEIGHTS = fileURLToPath(new URL(`../../models/${OWN_MODEL}.safetensors`, import.meta.url));

export const modelOption = () =>
  new Option(
    '--model <name>',
    `architecture of the network (default: ${OWN_MODEL}, which comes with its weights)`,
  ).choices(MODEL_NAMES);
export const weightsOption = () =>
  new Option('--weights <file>', 'its weights: .safetensors, or PyTorch .pth, .pt, .th');
export const deviceOption = () =>
  new Option('--device <name>', 'where to compute').choices(DEVICE_CHOICES).default('auto');
export const threadsOption = () =>
  new Option('--threads <n>', 'threads of the CPU device (default: as many as the machine runs at once)')
    .argParser(wholeNumber(1, MOST_THREADS))
    .env('FMGCAM_THREADS');
export const precisionOption = () =>
  new Option('--precision <name>', 'of the CPU device: `exact` forbids faster algorithms that round more')
    .choices(PRECISIONS)
    .env('FMGCAM_PRECISION');
export const sizeOption = () =>
  new Option('--size <pixels>', 'squash the image to a square of so many pixels').argParser(
    wholeNumber(1, LONGEST_INPUT),
  );
export const jsonOption = () => new Option('--json', 'print the results as JSON');

/** Parses a whole number of at least `least` and at most `most`. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text.trim()) || value < least || value > most) {
      const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
      throw new InvalidArgumentError(`Use a whole number ${range}.`);
    }
    return value;
  };
}

/** Parses a number above 0. */
export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new InvalidArgumentError('Use a number above 0.');
  return value;
}

/** Parses entries that are separated by commas. */
export function list(text: string): string[] {
  return text.split(',').map((entry) => entry.trim());
}

/** Parses a number from 0 to 1. */
export function fraction(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) throw new InvalidArgumentError('Use a number from 0 to 1.');
  return value;
}

/** @throws UsageError when there are weights of nobody knows which network */
export function modelName({ model, weights }: ModelOptions): string {
  if (model === undefined && weights !== undefined)
    throw new UsageError(`--weights ${weights}: say with --model which network they are of`);
  return model ?? OWN_MODEL;
}

export async function readModel(options: ModelOptions): Promise<Model> {
  const { file, bytes } = await readWeights(options);
  return loadModel(modelName(options), bytes, { file });
}

/** The weight file, whose bytes must be those that its name promises. */
export async function readWeights(options: ModelOptions): Promise<{ file: string; bytes: Uint8Array }> {
  const model = modelName(options);
  const file = options.weights ?? ownWeights(model);
  const bytes = await read(file);
  checkNamedHash(file, bytes);
  return { file, bytes };
}

function ownWeights(model: string): string {
  if (model !== OWN_MODEL)
    throw new UsageError(
      `--model ${model}: name the file with its weights, --weights; only ${OWN_MODEL} comes with some`,
    );
  progress(
    `network: ${model}, which comes with fm-g-cam and knows ${architecture(model).labels.length} drawn things; --model and --weights take another`,
  );
  return OWN_WEIGHTS;
}

/** PyTorch's hubs name a file after the first 8 digits of its SHA-256 (`resnet50-0676ba61.pth`): flipped bits show. */
function checkNamedHash(file: string, bytes: Uint8Array): void {
  const [, named] = /-([0-9a-f]{8})\.(?:pth|pt|th|safetensors)$/.exec(basename(file)) ?? [];
  if (!named) return;
  const actual = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
  if (actual !== named) {
    throw new InputError(
      `${file}: its SHA-256 begins with ${actual}, not with the ${named} of its name; it is damaged: download it again, or rename it`,
    );
  }
}

/** What goes into a network: [N,3,H,W]. */
export interface Input {
  readonly data: Float32Array;
  readonly shape: Shape;
}

/** The tensor `input` of a safetensors file. */
export async function readInput(file: string): Promise<Input> {
  const input = parseSafetensors(await read(file), file).get('input');
  if (!input)
    throw new InputError(`${file}: has no tensor "input"; save the network's input [N,3,H,W] under that name`);
  const { data, shape } = input;
  if (!(data instanceof Float32Array)) throw new InputError(`${file}: "input" must be float32`);
  return { data, shape };
}

export interface DeviceOptions {
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly precision?: Precision;
}

/** Opens the device and says on stderr which one it is. */
export async function chooseDevice(options: DeviceOptions): Promise<OpenedDevice['device']> {
  const { device: choice, threads, precision } = options;
  const { device, reason } = await openDevice(choice, {
    ...(threads !== undefined && { threads }),
    ...(precision !== undefined && { precision }),
  });
  progress(`device: ${device.name}${choice === 'auto' ? `: ${reason}` : ''}`);
  return device;
}

/** Progress goes to stderr, results to stdout. */
export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A reader that has seen enough, such as `head`, is no error. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  progress(`fmgcam: the results cannot be printed: ${reasonOf(error)}`);
  process.exitCode = 1;
});

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

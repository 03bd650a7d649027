import { InputError } from '../../errors.ts';
import { formatShape, type Shape, sameShape } from '../../tensor/shape.ts';
import { describeArchitecture } from './architecture.ts';
import type { HostArray, StateDict } from './host-array.ts';
import { listFirst, quote } from './messages.ts';
import { parseSafetensors } from './safetensors.ts';
import { isLegacyCheckpoint, isZip, parseTorchCheckpoint } from './torch.ts';
import { TorchTensor } from './torch-tensor.ts';

/** Where training scripts put the state dict, in order of preference. */
const WRAPPERS = ['state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'weights', 'params'];
const DEEPEST_WRAPPING = 4;

/** What DataParallel, DistributedDataParallel and torch.compile put before every name. */
const WRAPPER_PREFIXES = ['module.', '_orig_mod.'];
/** What a Lightning module puts before every name; an ordinary module may have an attribute of this name, too. */
const LIGHTNING_PREFIX = 'model.';

/** The names in torchvision's DenseNet files are from when the name of a module could contain a dot. */
const OLD_DENSENET_NAME = /^(.*\bdenselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$/;

/** Batch norm counts its training steps since PyTorch 0.4.1; inference does not need the count. */
const COUNTER = /(^|\.)num_batches_tracked$/;

/** What users take for weights by mistake: the start of the file, and what to say. */
const OTHER_FORMATS: readonly (readonly [RegExp, string])[] = [
  [/^$/, 'it is empty; download it again'],
  [/^(\xef\xbb\xbf)?\s*</, 'it looks like an HTML page, as a failed download leaves; download it again'],
  [/^version https:\/\/git-lfs/, 'it is a git-lfs pointer; run "git lfs pull" to get the file itself'],
  [/^\s*[{[]/, 'it looks like JSON; give the weight file itself'],
  [/^.{257}ustar/s, 'it is a tar archive, as PyTorch wrote before 0.1.10; load it in PyTorch and save it again'],
  [/^\x89HDF/, 'it is an HDF5 file, as Keras writes'],
  [/^\x93NUMPY/, 'it is a NumPy array'],
  [/^(\x89PNG|\xff\xd8\xff)/, 'it is an image'],
  [/^\x80/, 'it is a pickle, but not one that torch.save wrote'],
];
const LONGEST_SIGNATURE = 262;

/**
 * Reads a weight file: safetensors, or a checkpoint of `torch.save` in its zip or legacy format. The content decides
 * which, not the file's name. Checkpoints are unwrapped, see `unwrapStateDict`.
 *
 * @param bytes the whole file.
 * @param name the file's name, for messages.
 * @throws InputError when the file is damaged or something else; the message says what it looks like.
 */
export function loadStateDict(bytes: Uint8Array, name: string): StateDict {
  if (isZip(bytes) || isLegacyCheckpoint(bytes)) return unwrapStateDict(parseTorchCheckpoint(bytes, name), name);
  if (isSafetensors(bytes)) return normaliseNames(parseSafetensors(bytes, name), name);
  const start = String.fromCharCode(...bytes.subarray(0, LONGEST_SIGNATURE));
  const known = OTHER_FORMATS.find(([pattern]) => pattern.test(start))?.[1];
  const reason = known ?? 'its first bytes are those of neither; it may be damaged';
  throw new InputError(`${name}: this is not a PyTorch checkpoint or safetensors file: ${reason}`);
}

/** A header, which is a JSON object, follows its length; text has no zero byte where a length has its highest. */
function isSafetensors(bytes: Uint8Array): boolean {
  return bytes[7] === 0 && bytes[8] === '{'.charCodeAt(0);
}

/**
 * The state dict in what `parseTorchCheckpoint` returned: the object itself, or the entry `state_dict`,
 * `model_state_dict`, `model` … of a dict that a training script saved. Names lose the prefixes `module.` and
 * `_orig_mod.` when all of them have one, and DenseNet's old names (`norm.1.weight`) become today's (`norm1.weight`).
 * Entries that are not tensors are left out.
 *
 * @param name the file's name, for messages.
 * @throws InputError when there is no state dict, or a tensor is damaged.
 */
export function unwrapStateDict(object: unknown, name: string): StateDict {
  const arrays = new Map<string, HostArray>();
  for (const [key, value] of findTensors(object, name)) {
    arrays.set(key, value.toHostArray(`${name}: tensor ${quote(key)}`));
  }
  return normaliseNames(arrays, name);
}

function findTensors(object: unknown, name: string): [string, TorchTensor][] {
  let dict = object;
  for (let depth = 0; depth <= DEEPEST_WRAPPING && dict instanceof Map; depth++) {
    const tensors = [...dict].filter(isNamedTensor);
    const content = wrappedDict(dict);
    if (content === undefined && tensors.length > 0) return tensors;
    if (content === undefined) break;
    dict = content;
  }
  const found =
    dict instanceof Map ? `a dict with the keys ${listFirst([...dict.keys()].map(describeKey), 8)}` : 'no dict';
  throw new InputError(`${name}: no state dict found, but ${found}; save the model's state_dict() instead`);
}

function isNamedTensor(entry: [unknown, unknown]): entry is [string, TorchTensor] {
  return typeof entry[0] === 'string' && entry[1] instanceof TorchTensor;
}

function wrappedDict(dict: ReadonlyMap<unknown, unknown>): unknown {
  return WRAPPERS.map((key) => dict.get(key)).find((value) => value instanceof Map);
}

function describeKey(key: unknown): string {
  return typeof key === 'string' ? quote(key) : typeof key;
}

function normaliseNames(dict: StateDict, name: string): StateDict {
  const prefix = WRAPPER_PREFIXES.find((candidate) => allStartWith(dict, candidate));
  if (prefix !== undefined)
    return normaliseNames(
      rename(dict, (key) => key.slice(prefix.length), name),
      name,
    );
  return rename(dict, (key) => key.replace(OLD_DENSENET_NAME, '$1$2'), name);
}

function allStartWith(dict: ReadonlyMap<string, unknown>, prefix: string): boolean {
  return dict.size > 0 && [...dict.keys()].every((key) => key.startsWith(prefix));
}

function rename(dict: StateDict, newKey: (key: string) => string, name: string): StateDict {
  const renamed = new Map<string, HostArray>();
  for (const [key, array] of dict) {
    if (renamed.has(newKey(key))) {
      throw new InputError(
        `${name}: the tensor ${quote(newKey(key))} is there under its old and its new name; remove one`,
      );
    }
    renamed.set(newKey(key), array);
  }
  return renamed;
}

export interface MatchOptions {
  /** What the weights are for, such as `resnet50`, for messages. */
  readonly architecture?: string;
}

/**
 * The tensors that a model expects, in its order. A `num_batches_tracked` may be missing, then it is missing from the
 * result as well, or left over. When every name given, but none expected, starts with `model.`, that is cut off.
 *
 * @param expected shapes by name.
 * @param name the file's name, for messages.
 * @throws InputError with all missing, unexpected and wrongly shaped tensors, or for a weight that is NaN or infinite.
 */
export function matchStateDict(
  expected: ReadonlyMap<string, Shape>,
  given: StateDict,
  name: string,
  options: MatchOptions = {},
): StateDict {
  const dict = stripLightningPrefix(expected, given, name);
  const problems = describeMismatch(expected, dict);
  if (problems.length > 0) {
    const advice = adviseOnArchitecture(expected, dict);
    throw new InputError(
      `${name}: the weights do not fit ${options.architecture ?? 'the model'}: ${problems.join('; ')}; ${advice}`,
    );
  }
  const matched = new Map<string, HostArray>();
  for (const key of expected.keys()) {
    const array = dict.get(key);
    if (array !== undefined) matched.set(key, array);
  }
  checkFinite(matched, name);
  return matched;
}

function stripLightningPrefix(expected: ReadonlyMap<string, Shape>, given: StateDict, name: string): StateDict {
  const isForeign = ![...expected.keys()].some((key) => key.startsWith(LIGHTNING_PREFIX));
  if (!isForeign || !allStartWith(given, LIGHTNING_PREFIX)) return given;
  return normaliseNames(
    rename(given, (key) => key.slice(LIGHTNING_PREFIX.length), name),
    name,
  );
}

function describeMismatch(expected: ReadonlyMap<string, Shape>, given: StateDict): string[] {
  const missing = [...expected.keys()].filter((key) => !given.has(key) && !COUNTER.test(key));
  const unexpected = [...given.keys()].filter((key) => !expected.has(key) && !COUNTER.test(key));
  const misshapen = [...expected].flatMap(([key, shape]) => {
    const found = given.get(key)?.shape;
    return found === undefined || sameShape(found, shape)
      ? []
      : `${quote(key)} is ${formatShape(found)} instead of ${formatShape(shape)}`;
  });
  return [
    ...(missing.length > 0 ? [`missing ${listFirst(missing.map(quote))}`] : []),
    ...(unexpected.length > 0 ? [`unexpected ${listFirst(unexpected.map(quote))}`] : []),
    ...(misshapen.length > 0 ? [`wrong shapes: ${listFirst(misshapen)}`] : []),
  ];
}

function adviseOnArchitecture(expected: ReadonlyMap<string, Shape>, given: StateDict): string {
  const wanted = describeArchitecture(expected.keys());
  const found = describeArchitecture(given.keys());
  if (found === undefined || found === wanted) return 'give weights of this very architecture and number of classes';
  return `the file looks like ${found}${wanted === undefined ? '' : `, the model is ${wanted}`}; choose the model that fits`;
}

function checkFinite(dict: StateDict, name: string): void {
  for (const [key, { data }] of dict) {
    const index = firstNonFinite(data);
    if (index >= 0) {
      throw new InputError(
        `${name}: tensor ${quote(key)} contains ${data[index]}; the training diverged or the file is damaged`,
      );
    }
  }
}

/** By index over millions of elements: for...of is several times slower. */
function firstNonFinite(data: HostArray['data']): number {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

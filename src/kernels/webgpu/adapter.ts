import { DeviceError, messageOf, UsageError } from '../../errors.ts';
import { ALGORITHMS, type Algorithm } from '../conv2d/geometry.ts';
import { measuredOn, type TuningTable } from '../tuning/table.ts';
import { findUserTable } from '../tuning/user-table.ts';
import { WebGpuDevice } from './device.ts';
import { deviceFacts } from './facts.ts';
import { ALIGNMENT } from './parts.ts';
import { type Settle, settleByItself, settleWithNaps } from './settle.ts';
import { requireTiling, SHAPES, type Shapes, type Tiling, WEIGHT_STORAGES, type WeightStorage } from './tiles.ts';

export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  /** How this host waits for the GPU. */
  readonly settle: Settle;
  /** Lets go of what keeps the adapter alive; to be called unless a device is opened. */
  readonly release: () => void;
}

/** An adapter that was found, or why there is none. */
export type AdapterSearch =
  | (FoundAdapter & { readonly found: true })
  | { readonly found: false; readonly reason: string };

/** Looks for a WebGPU adapter: in a page or Deno `navigator.gpu`, in Node the optional package `webgpu`. */
export async function findAdapter(
  options: GPURequestAdapterOptions = { powerPreference: 'high-performance' },
): Promise<AdapterSearch> {
  const source = await findGpu();
  if (!source.found) return source;
  try {
    const adapter = await source.gpu.requestAdapter(options);
    if (adapter) return { found: true, adapter, settle: source.settle, release: source.release };
    source.release();
    return { found: false, reason: 'WebGPU is there, but no adapter: install a Vulkan, Metal or Direct3D 12 driver' };
  } catch (error) {
    source.release();
    return { found: false, reason: `asking WebGPU for an adapter failed: ${messageOf(error)}` };
  }
}

/**
 * All adapters that WebGPU can be made to name, the preferred one first: it hands out one for each wish, and never a list.
 * A single search that found nothing says why.
 */
export async function findAdapters(): Promise<AdapterSearch[]> {
  const wishes: GPURequestAdapterOptions[] = [
    { powerPreference: 'high-performance' },
    { powerPreference: 'low-power' },
    { forceFallbackAdapter: true },
  ];
  const distinct = new Map<string, AdapterSearch>();
  let nothing: AdapterSearch | undefined;
  for (const wish of wishes) {
    const search = await findAdapter(wish);
    if (!search.found) {
      nothing ??= search;
      continue;
    }
    const { vendor, architecture, device, description } = search.adapter.info;
    const identity = [vendor, architecture, device, description].join();
    if (distinct.has(identity)) search.release();
    else distinct.set(identity, search);
  }
  return distinct.size > 0 || !nothing ? [...distinct.values()] : [nothing];
}

type GpuSearch = { found: true; gpu: GPU; settle: Settle; release: () => void } | { found: false; reason: string };

/** Instances of the `webgpu` package in use. Dawn crashes if one is collected while its devices live. */
const instances = new Set<GPU>();

async function findGpu(): Promise<GpuSearch> {
  const ambient = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
  if (ambient) return { found: true, gpu: ambient, settle: settleByItself, release: () => {} };
  if (typeof process === 'undefined' || !process.versions?.node) {
    return {
      found: false,
      reason: 'this browser has no navigator.gpu; use a current Chrome, Edge, Safari or Firefox on an https page',
    };
  }
  try {
    const { create } = await import('webgpu');
    const gpu = create([]);
    instances.add(gpu);
    return { found: true, gpu, settle: settleWithNaps, release: () => instances.delete(gpu) };
  } catch (error) {
    return {
      found: false,
      reason: `the package "webgpu" cannot be loaded (npm install webgpu@0.6.2): ${messageOf(error)}`,
    };
  }
}

/**
 * Whether a software adapter outruns the TypeScript kernels of the CPU device; none outruns its WebAssembly. Measured on
 * two cores with ResNet-50 at 224 x 224: WebAssembly on one thread 0.13 s, lavapipe 0.3 s, SwiftShader 1.0 s, TypeScript
 * 2.5 s. Others, such as WARP, were not measured.
 */
export function outrunsTypeScript({ info }: GPUAdapter): boolean {
  return /llvmpipe|lavapipe|swiftshader/i.test(`${info.device} ${info.description}`);
}

function requireOneOf<Name extends string>(what: string, names: readonly Name[], given: string): Name {
  const name = names.find((known) => known === given);
  if (!name)
    throw new UsageError(`${what} "${given}" is unknown; use ${names.slice(0, -1).join(', ')} or ${names.at(-1)}`);
  return name;
}

function requireStorage(given: string, features: ReadonlySet<string>): WeightStorage {
  const storage = requireOneOf('storage', WEIGHT_STORAGES, given);
  if (storage === 'f32' || features.has('shader-f16')) return storage;
  throw new DeviceError('this adapter cannot keep weights in f16: it has no shader-f16; use the storage f32');
}

const MOST_SPLITS = 64;

function requireSplits(given: number | string): number {
  const splits = Number(given);
  if (Number.isInteger(splits) && splits >= 1 && splits <= MOST_SPLITS) return splits;
  throw new UsageError(`splits "${given}": use a whole number from 1 to ${MOST_SPLITS}`);
}

/** What can be chosen about a WebGPU device. */
export interface WebGpuDeviceOptions {
  /**
   * How convolutions share their work out to threads, see `TILINGS`: by adapter and sizes when left out, or as the
   * variable FMGCAM_TILES says.
   */
  readonly tiles?: Tiling;
  /**
   * How 3x3 convolutions are computed, see `ALGORITHMS`: by adapter and sizes when left out, or as the variable
   * FMGCAM_ALGORITHM says.
   */
  readonly algorithm?: Algorithm;
  /** Into how many parts the depth of a product is split: by adapter and sizes when left out, or as FMGCAM_SPLITS says. */
  readonly splits?: number;
  /**
   * Whether a compiled kernel serves `any` shape, or `one`, see `SHAPES`: any when left out, or as the variable FMGCAM_SHAPES
   * says.
   */
  readonly shapes?: Shapes;
  /**
   * How weights are kept, see `WEIGHT_STORAGES`; f16 where the adapter has `shader-f16`. f32 when left out, or as the variable
   * FMGCAM_STORAGE says.
   */
  readonly storage?: WeightStorage;
  /** Whether kernels suit a CPU that plays GPU, which wants others than hardware does: by the adapter's name when left out. */
  readonly software?: boolean;
  /**
   * What `fmgcam tune` measured on this adapter, see `parseTable`. In Node, the table in the user's cache folder when left
   * out; null for none.
   */
  readonly tuning?: TuningTable | null;
  /**
   * The most bytes of a buffer that a kernel may see at once, from 256 to the adapter's maxStorageBufferBindingSize, which it is
   * when left out. Calls with larger tensors run in parts; tests have small ones do so.
   */
  readonly maxBindingBytes?: number;
}

function requireBindingBytes(given: number, most: number): number {
  if (Number.isInteger(given) && given >= ALIGNMENT && given <= most) return given;
  throw new UsageError(`maxBindingBytes ${given}: use a whole number from ${ALIGNMENT} to ${most} on this adapter`);
}

/**
 * A device of an adapter, with the adapter's own limits on buffers.
 * @throws UsageError for options out of range, DeviceError when the adapter refuses
 */
export async function openAdapter(
  { adapter, settle, release }: FoundAdapter,
  { tiles, algorithm, splits, shapes, storage, software, tuning, maxBindingBytes }: WebGpuDeviceOptions = {},
): Promise<WebGpuDevice> {
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  let gpu: GPUDevice;
  try {
    gpu = await adapter.requestDevice({
      requiredFeatures: (['subgroups', 'shader-f16'] as const).filter((feature) => adapter.features.has(feature)),
      requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
    });
  } catch (error) {
    release();
    throw new DeviceError(`the WebGPU adapter refuses a device: ${messageOf(error)}`);
  }
  try {
    const { info } = adapter;
    const table = tuning === undefined ? await findUserTable(info) : tuning;
    const facts = { ...deviceFacts(gpu, info, software), ...measuredOn(info, table ?? undefined) };
    const env = globalThis.process?.env ?? {};
    const wanted = {
      tiles: tiles ?? env.FMGCAM_TILES,
      algorithm: algorithm ?? env.FMGCAM_ALGORITHM,
      splits: splits ?? env.FMGCAM_SPLITS,
      shapes: shapes ?? env.FMGCAM_SHAPES,
      storage: storage ?? env.FMGCAM_STORAGE,
    };
    const target = {
      ...facts,
      tiling: wanted.tiles === undefined ? undefined : requireTiling(wanted.tiles, facts),
      algorithm: wanted.algorithm === undefined ? undefined : requireOneOf('algorithm', ALGORITHMS, wanted.algorithm),
      splits: wanted.splits === undefined ? undefined : requireSplits(wanted.splits),
      shapes: wanted.shapes === undefined ? undefined : requireOneOf('shapes', SHAPES, wanted.shapes),
      storage: wanted.storage === undefined ? undefined : requireStorage(wanted.storage, gpu.features),
    };
    const most = gpu.limits.maxStorageBufferBindingSize;
    const bindingBytes = requireBindingBytes(maxBindingBytes ?? most, most);
    return new WebGpuDevice(gpu, info, { target, bindingBytes, settle, onDestroy: release });
  } catch (error) {
    gpu.destroy();
    void gpu.lost.then(release);
    throw error;
  }
}

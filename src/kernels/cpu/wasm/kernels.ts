import { DeviceError, UsageError } from '../../../errors.ts';
import { pointwiseNames } from '../../pointwise/functions.ts';
import { BUILDS } from './builds.generated.ts';

/** The kernels that the CPU device can run, slowest first: TypeScript, WebAssembly SIMD, and the same with fused multiply-add. */
export const CPU_KERNELS = ['typescript', 'wasm', 'wasm-relaxed'] as const;
export type CpuKernels = (typeof CPU_KERNELS)[number];

/** The kernels that src/kernels/cpu/wasm/module.as.ts exports. */
export const KERNELS = [
  'argmax',
  'averagePool',
  'averagePoolGradient',
  'copy',
  'depthwise',
  'depthwiseWeightGradient',
  'gemm',
  'interpolate',
  'maxPool',
  'maxPoolGradient',
  'maxPoolWinners',
  'packPanels',
  'pad',
  'reduceMax',
  'reduceSum',
  'softmax',
  'toPlanes',
  'winogradInput',
  'winogradProduct',
  ...pointwiseNames,
] as const;
export type KernelName = (typeof KERNELS)[number];

/**
 * Does the units `begin` to `end` of a job, which depend on no other units, so that threads may share a job.
 *
 * @param job the address of what the kernel is to do: a class of its *.as.ts
 * @param scratch the address of SCRATCH_BYTES bytes that are the thread's own
 */
export type WasmKernel = (job: number, begin: number, end: number, scratch: number) => void;
export type WasmKernels = { readonly [Name in KernelName]: WasmKernel };

/** What a kernel may use on the way, for each thread. */
export const SCRATCH_BYTES = 1 << 19;

type Build = keyof typeof BUILDS;
const BUILD_OF = { wasm: 'simd', 'wasm-relaxed': 'relaxedSimd' } as const;

/**
 * The fastest kernels that this host runs, or those that are asked for.
 * @throws UsageError for an unknown name, DeviceError when the host cannot run what is asked for
 */
export function chooseKernels(wanted?: string): CpuKernels {
  const runs = (kernels: CpuKernels) => kernels === 'typescript' || isSupported(BUILD_OF[kernels]);
  if (wanted === undefined) return CPU_KERNELS.findLast(runs) ?? 'typescript';
  const known = CPU_KERNELS.find((kernels) => kernels === wanted);
  if (!known) throw new UsageError(`CPU kernels "${wanted}" are unknown; use ${CPU_KERNELS.join(', ')}`);
  if (runs(known)) return known;
  throw new DeviceError(`this host cannot run the ${known} kernels; use ${CPU_KERNELS.filter(runs).join(', ')}`);
}

/** Whether fused multiply-add can be used; Node 20 wants the V8 flag `--experimental-wasm-relaxed-simd` for it. */
export function hasRelaxedSimd(): boolean {
  return isSupported('relaxedSimd');
}

/** The compiled kernels, at work in the memory of a heap; threads make their own instance of the module. */
export interface WasmModule {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly kernels: WasmKernels;
}

export function instantiate(kernels: Exclude<CpuKernels, 'typescript'>, memory: WebAssembly.Memory): WasmModule {
  // Not by SharedArrayBuffer, which some pages cannot name.
  const shared = !(memory.buffer instanceof ArrayBuffer);
  const module = new WebAssembly.Module(bytesOf(BUILD_OF[kernels], shared));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  if (!isKernels(exports)) throw new DeviceError('the WebAssembly kernels are damaged; build the package again');
  return { module, memory, kernels: exports };
}

function isKernels(exports: object): exports is WasmKernels {
  return KERNELS.every((name) => name in exports);
}

function isSupported(build: Build): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(bytesOf(build, false));
}

const decoded = new Map<Build, Uint8Array<ArrayBuffer>>();

/** The builds import shared memory. A host without it gets them with the bit cleared that says so in the import. */
function bytesOf(build: Build, shared: boolean): Uint8Array<ArrayBuffer> {
  const binary = decoded.get(build) ?? decode(BUILDS[build]);
  decoded.set(build, binary);
  if (shared) return binary;
  const alone = binary.slice();
  alone[placeOfMemoryKind(binary)] = 1;
  return alone;
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Of the flags behind the import's name and kind: "memory", 2 (a memory), 3 (shared, with a maximum). */
function placeOfMemoryKind(binary: Uint8Array): number {
  const name = [...'memory\x02\x03'].map((character) => character.charCodeAt(0));
  const start = binary.findIndex((_, i) => name.every((code, k) => binary[i + k] === code));
  if (start < 0) throw new DeviceError('the WebAssembly kernels are damaged; build the package again');
  return start + name.length - 1;
}

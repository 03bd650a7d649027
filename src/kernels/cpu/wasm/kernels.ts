import { DeviceError, UsageError } from '../../../errors.ts';
import { BUILDS } from './builds.generated.ts';

/** The kernels that the CPU device can run, slowest first: TypeScript, WebAssembly SIMD, and the same with fused multiply-add. */
export const CPU_KERNELS = ['typescript', 'wasm', 'wasm-relaxed'] as const;
export type CpuKernels = (typeof CPU_KERNELS)[number];

/** What src/kernels/cpu/wasm/module.as.ts exports. All numbers are addresses, bytes or counts; there is the documentation. */
export interface WasmKernels {
  convolve(
    source: number,
    target: number,
    pixels: number,
    count: number,
    chunk: number,
    segments: number,
    lastSegment: number,
    panels: number,
    panel: number,
    columns: number,
    bias: number,
    residual: number,
    relu: boolean,
    tile: number,
  ): void;
  packPanels(
    w: number,
    panels: number,
    taps: number,
    lastTap: number,
    rows: number,
    stride: number,
    columns: number,
  ): void;
  add(y: number, a: number, b: number, rows: number, row: number, strideA: number, strideB: number): void;
  multiplyAdd(
    y: number,
    a: number,
    b: number,
    c: number,
    rows: number,
    row: number,
    strideA: number,
    strideB: number,
    strideC: number,
    relu: boolean,
  ): void;
  copyRows(to: number, from: number, rows: number, row: number, strideTo: number, strideFrom: number): void;
}

type Build = keyof typeof BUILDS;
const BUILD_OF = { wasm: 'simd', 'wasm-relaxed': 'relaxedSimd' } as const;

/**
 * The fastest kernels that this host runs, or those that are asked for.
 * @throws UsageError for an unknown name, DeviceError when the host cannot run what is asked for
 */
export function chooseKernels(wanted?: string): CpuKernels {
  const able = CPU_KERNELS.filter((kernels) => kernels === 'typescript' || isSupported(BUILD_OF[kernels]));
  if (wanted === undefined) return able.at(-1) ?? 'typescript';
  const known = CPU_KERNELS.find((kernels) => kernels === wanted);
  if (!known) throw new UsageError(`CPU kernels "${wanted}" are unknown; use ${CPU_KERNELS.join(', ')}`);
  if (!able.includes(known)) throw new DeviceError(`this host cannot run the ${known} kernels; use ${able.join(', ')}`);
  return known;
}

/** Whether fused multiply-add can be used; Node 20 wants the V8 flag `--experimental-wasm-relaxed-simd` for it. */
export function hasRelaxedSimd(): boolean {
  return isSupported('relaxedSimd');
}

/** The kernels, working in the memory of a heap. */
export function instantiate(kernels: Exclude<CpuKernels, 'typescript'>, memory: WebAssembly.Memory): WasmKernels {
  // Not by SharedArrayBuffer, which a page that is not cross-origin isolated cannot name, though it may get such memory.
  const shared = !(memory.buffer instanceof ArrayBuffer);
  const module = new WebAssembly.Module(bytesOf(BUILD_OF[kernels], shared));
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  if (!isKernels(exports)) throw new DeviceError('the WebAssembly kernels are damaged; build the package again');
  return exports;
}

function isKernels(exports: object): exports is WasmKernels {
  return 'convolve' in exports && 'packPanels' in exports;
}

function isSupported(build: Build): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(bytesOf(build, false));
}

/** The builds import shared memory. A host without it gets them with the bit cleared that says so in the import. */
function bytesOf(build: Build, shared: boolean): Uint8Array<ArrayBuffer> {
  const binary = atob(BUILDS[build]);
  const matching = shared ? binary : binary.replace('memory\x02\x03', 'memory\x02\x01');
  return Uint8Array.from(matching, (character) => character.charCodeAt(0));
}

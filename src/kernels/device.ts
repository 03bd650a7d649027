import { DeviceError } from '../errors.ts';
import type { TensorSpec } from '../tensor/layout.ts';
import type { HostData, Memory, Storage } from '../tensor/memory.ts';
import type { WasmCall } from './cpu/wasm/call.ts';
import type { WgslProgram } from './webgpu/program.ts';
import type { ShaderTarget } from './webgpu/tiles.ts';

/** An operand of a kernel: how it lies in a storage. */
export interface Operand extends TensorSpec {
  readonly storage: Storage;
}

/** An operand of a host kernel: `data` is the whole block; index it with `offset` and `strides`. */
export interface HostOperand<Data extends HostData = HostData> extends TensorSpec {
  readonly data: Data;
}

/** How one op runs, on whichever device. */
export interface Kernel<Attributes> {
  /** The readable TypeScript kernel: writes `outputs`. */
  host(call: {
    readonly inputs: readonly HostOperand[];
    readonly outputs: readonly HostOperand[];
    readonly attributes: Attributes;
  }): void;
  /** The same in WebAssembly, for what networks spend their time in. Returns false to leave a call to `host`. */
  wasm?(call: WasmCall<Attributes>): boolean;
  /** The WGSL programs that do the same, to be dispatched in order. */
  webgpu(call: WgslCall<Attributes>): readonly WgslProgram[];
  /**
   * The ways to make a call of calls on parts of its operands, for WebGPU devices that cannot show a shader all of a large
   * operand (see webgpu/parts.ts); of equal ones, the first is taken. Without it, there is none.
   */
  ways?(call: Omit<WgslCall<Attributes>, 'target'>): readonly Way<Attributes>[];
  /** Whether the programs expect operands that are dense to begin where they are bound: those of parts are made so. */
  readonly dense?: boolean;
  /** Makes such a call of calls of other kernels, in place of `ways`. */
  steps?(
    call: {
      readonly inputs: readonly Operand[];
      readonly outputs: readonly Operand[];
      readonly attributes: Attributes;
    },
    run: Device['run'],
  ): void;
}

/** A way to divide a call: along an axis of some operands. */
export interface Way<Attributes> {
  /** The axis of each input that is divided; undefined where each part needs all of it. */
  readonly inputs: readonly (number | undefined)[];
  /** Likewise; undefined where the results of the parts are combined. */
  readonly outputs: readonly (number | undefined)[];
  /** Elements along the axis that belong together; 1 when left out. */
  readonly unit?: number;
  /** How the results of parts become the one result that there is. */
  readonly combine?: 'sum' | 'max';
  /** Those of the parts, where they are not those of the call. */
  readonly attributes?: Attributes;
}

/** What a program may depend on of an input. */
export interface WgslInput extends TensorSpec {
  readonly storage?: Pick<Storage, 'constant'>;
}

export interface WgslCall<Attributes> {
  readonly inputs: readonly WgslInput[];
  readonly outputs: readonly TensorSpec[];
  readonly attributes: Attributes;
  readonly target: ShaderTarget;
}

/**
 * The whole contract of a device: memory (allocate, write, read), running kernels, and flushing.
 *
 * Kernels take effect in the order of the calls, after every earlier write and before every later read. `run` may only
 * record: nothing is promised to have started before `flush`, and only `read` waits.
 */
export interface Device extends Memory {
  readonly kind: 'cpu' | 'webgpu';
  /** Whether kernels bring weights into a layout of their own by themselves, wherever they lie. */
  readonly prepacks: boolean;
  run<Attributes>(
    kernel: Kernel<Attributes>,
    inputs: readonly Operand[],
    outputs: readonly Operand[],
    attributes: Attributes,
  ): void;
  /** Hands everything recorded so far to the hardware. */
  flush(): void;
  /** Frees all memory and lets the process exit. Tensors on this device are gone. */
  destroy(): void;
}

function isDevice(memory: Memory): memory is Device {
  return 'run' in memory && 'flush' in memory;
}

/** The device that a tensor lives on. */
export function deviceOf(tensor: { readonly memory: Memory }): Device {
  if (!isDevice(tensor.memory)) throw new DeviceError(`"${tensor.memory.name}" holds memory only and cannot compute`);
  return tensor.memory;
}

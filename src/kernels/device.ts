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

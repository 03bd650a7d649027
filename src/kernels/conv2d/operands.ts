import type { WasmOperand } from '../cpu/wasm/call.ts';

/** What a `GatherShape` works on; source, result and residual are channels-last. */
export interface GatherOperands {
  readonly source: WasmOperand;
  readonly weight: WasmOperand;
  readonly y: WasmOperand;
  readonly bias?: WasmOperand | undefined;
  readonly residual?: WasmOperand | undefined;
  readonly relu: boolean;
}

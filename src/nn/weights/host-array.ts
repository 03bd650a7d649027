/**
 * A dense tensor in host memory, row-major. Half precision, bfloat16 and float are all `Float32Array`, double is
 * `Float64Array`, bool and uint8 are `Uint8Array`, the other integers `Int32Array` (see element-types.ts for int64).
 */
export interface HostArray {
  readonly shape: readonly number[];
  /** As many elements as the shape says. */
  readonly data: Float32Array | Float64Array | Int32Array | Uint8Array;
}

/** Parameters and buffers of a network by their dotted PyTorch names. */
export type StateDict = ReadonlyMap<string, HostArray>;

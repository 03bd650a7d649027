import { dirname } from 'node:path';
import { type Settle, settleByItself, settleWithNaps } from '../../src/kernels/webgpu/settle.ts';
import type { Processor } from '../protocol.ts';
import { nameOfAdapter } from './library.ts';
import { importPeer, peerVersion, resolvePeer } from './peer.ts';

/* TensorFlow.js on its WebAssembly or its WebGPU backend: the little of it that is used here. */

export interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

export interface Tf {
  setBackend(name: string): Promise<boolean>;
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  tidy(compute: () => TfTensor): TfTensor;
  transpose(x: TfTensor, axes: readonly number[]): TfTensor;
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
  maxPool(x: TfTensor, size: number, stride: number, padding: number): TfTensor;
  mean(x: TfTensor, axes: readonly number[]): TfTensor;
  add(a: TfTensor, b: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  readonly fused: {
    matMul(call: { a: TfTensor; b: TfTensor; bias: TfTensor }): TfTensor;
    conv2d(call: {
      x: TfTensor;
      filter: TfTensor;
      bias: TfTensor;
      strides: number;
      pad: number;
      activation: 'linear' | 'relu';
    }): TfTensor;
  };
}

interface WasmBackend {
  setWasmPaths(folder: string): void;
}

export interface Backend {
  readonly tf: Tf;
  /** Name and version. */
  readonly about: string;
  readonly adapter?: string;
  /** What a computation results in, on the host. */
  values(compute: () => TfTensor): Promise<Float32Array>;
}

export async function openBackend(device: Processor): Promise<Backend> {
  const tf = await importPeer<Tf>('@tensorflow/tfjs-core');
  return device === 'cpu' ? openWasm(tf) : openWebGpu(tf);
}

async function openWasm(tf: Tf): Promise<Backend> {
  const name = '@tensorflow/tfjs-backend-wasm';
  const wasm = await importPeer<WasmBackend>(name);
  wasm.setWasmPaths(`${dirname(resolvePeer(name))}/`);
  if (!(await tf.setBackend('wasm'))) throw new Error('its WebAssembly backend does not start');
  return { tf, about: `${name} ${peerVersion(name)}`, values: reader(tf, settleByItself) };
}

/** It finds WebGPU where browsers have it, and waits for the GPU as our device does. */
async function openWebGpu(tf: Tf): Promise<Backend> {
  const name = '@tensorflow/tfjs-backend-webgpu';
  const { create, globals } = await import('webgpu');
  const gpu = create([]);
  // The global also keeps it from being collected, which Dawn would not survive.
  Object.defineProperty(globalThis, 'navigator', { value: { gpu, userAgent: 'Node' } });
  Object.assign(globalThis, globals);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Error('there is no WebGPU adapter');
  await importPeer(name);
  if (!(await tf.setBackend('webgpu'))) throw new Error('its WebGPU backend does not start');
  return {
    tf,
    about: `${name} ${peerVersion(name)}`,
    adapter: nameOfAdapter(adapter.info),
    values: reader(tf, settleWithNaps),
  };
}

function reader(tf: Tf, settle: Settle): Backend['values'] {
  return async (compute) => {
    const result = tf.tidy(compute);
    try {
      return await settle(result.data());
    } finally {
      result.dispose();
    }
  };
}

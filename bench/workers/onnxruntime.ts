import { readFileSync } from 'node:fs';
import type { Job } from '../protocol.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { importPeer, peerVersion } from './peer.ts';
import { type Loaded, serveActions } from './serve.ts';

/*
 * ONNX Runtime, native (`onnxruntime-node`) or in WebAssembly (`onnxruntime-web`): the first argument says which. The native
 * one has WebGPU too, and does not say on which adapter.
 */

interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads: number } };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => object;
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<Session>;
  };
}

interface Session {
  run(inputs: Record<string, object>): Promise<Record<string, { readonly data: Float32Array }>>;
}

const [, , name = 'onnxruntime-web'] = process.argv;

await serveActions(async ({ onnx, input, device, threads }: Job): Promise<Loaded> => {
  const { env, Tensor, InferenceSession } = await importPeer<OnnxRuntime>(name);
  const web = name === 'onnxruntime-web';
  if (web) env.wasm.numThreads = threads;
  const session = await InferenceSession.create(readFileSync(onnx), {
    executionProviders: [web ? 'wasm' : device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  const x = new Tensor('float32', readInput(input), INPUT_SHAPE);
  return {
    about: `${name} ${peerVersion(name)}, all graph optimisations${device === 'webgpu' ? ', WebGPU provider' : ''}`,
    actions: { forward: async () => (await session.run({ x })).y?.data ?? [] },
  };
});

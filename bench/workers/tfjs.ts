import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StateDict } from '../../src/index.ts';
import { settleByItself, settleWithNaps } from '../../src/kernels/webgpu/settle.ts';
import { describe, distinctShapes, padding, resnet50Convolutions } from '../convolutions.ts';
import type { Job } from '../protocol.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { importLibrary } from './library.ts';
import { importPeer, peerVersion, resolvePeer } from './peer.ts';
import { type Action, type Loaded, serveActions } from './serve.ts';

/*
 * TensorFlow.js on its WebAssembly backend, or on WebGPU with the argument `webgpu`: a ResNet from torchvision's state dict, with batch norms folded into the
 * convolutions, and bias and ReLU fused, as its converter would do it.
 */

const WASM = '@tensorflow/tfjs-backend-wasm';
const WEBGPU = '@tensorflow/tfjs-backend-webgpu';

interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface Tf {
  setBackend(name: string): Promise<boolean>;
  env(): { set(flag: string, value: unknown): void };
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  tidy(compute: () => TfTensor): TfTensor;
  transpose(x: TfTensor, axes: readonly number[]): TfTensor;
  maxPool(x: TfTensor, size: number, stride: number, padding: number): TfTensor;
  mean(x: TfTensor, axes: readonly number[]): TfTensor;
  add(a: TfTensor, b: TfTensor): TfTensor;
  relu(x: TfTensor): TfTensor;
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
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

type Layer = (x: TfTensor) => TfTensor;

const onWebGpu = process.argv[2] === 'webgpu';
const NAME = onWebGpu ? WEBGPU : WASM;
/** Waits with the same naps as ours. */
const settle = onWebGpu ? settleWithNaps : settleByItself;

await serveActions(async ({ safetensors, input, threads }: Job): Promise<Loaded> => {
  const tf = await (onWebGpu ? startWebGpu() : startWasm(threads));
  const { parseSafetensors } = await importLibrary();
  const network = resnet(tf, parseSafetensors(readFileSync(safetensors), safetensors));
  const image = channelsLast(readInput(input), INPUT_SHAPE);
  return {
    about: `${NAME} ${peerVersion(NAME)}, batch norms folded, bias and ReLU fused`,
    actions: {
      forward: async () => {
        const logits = tf.tidy(() => network(tf.tensor(image.values, image.shape)));
        const values = await settle(logits.data());
        logits.dispose();
        return values;
      },
      ...(onWebGpu && convolutions(tf)),
    },
  };
});

async function startWasm(threads: number): Promise<Tf> {
  // It starts threads by `Worker`, which only browsers have as a global.
  if (threads !== 1) throw new Error('it has no threads in Node');
  const tf = await importPeer<Tf>('@tensorflow/tfjs-core');
  const wasm = await importPeer<WasmBackend>(WASM);
  wasm.setWasmPaths(`${dirname(resolvePeer(WASM))}/`);
  if (!(await tf.setBackend('wasm'))) throw new Error('its WebAssembly backend does not start');
  return tf;
}

/** It looks for WebGPU where browsers have it. */
async function startWebGpu(): Promise<Tf> {
  const { create, globals } = await import('webgpu');
  const value = { gpu: create([]), userAgent: 'Node' };
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true });
  const tf = await importPeer<Tf>('@tensorflow/tfjs-core');
  await importPeer(WEBGPU);
  if (!(await settle(tf.setBackend('webgpu')))) throw new Error('its WebGPU backend does not start');
  return tf;
}

/** Each convolution of ResNet-50; reading one value waits for all. Its operands are made when it first runs. */
function convolutions(tf: Tf): Record<string, Action> {
  const values = (...shape: number[]) => {
    const length = shape.reduce((product, size) => product * size);
    return tf.tensor(
      Float32Array.from({ length }, () => Math.random() - 0.5),
      shape,
    );
  };
  const actions = distinctShapes(resnet50Convolutions()).map(({ shape }): [string, Action] => {
    const { channels, out, kernel, stride, size } = shape;
    const make = () => ({
      x: values(1, size, size, channels),
      filter: values(kernel, kernel, channels, out),
      bias: values(out),
    });
    let operands: ReturnType<typeof make> | undefined;
    const run = async () => {
      operands ??= make();
      const call = { ...operands, strides: stride, pad: padding(kernel), activation: 'relu' } as const;
      const first = tf.tidy(() => tf.slice(tf.fused.conv2d(call), [0, 0, 0, 0], [1, 1, 1, 1]));
      const result = await settle(first.data());
      first.dispose();
      return result;
    };
    return [describe(shape), run];
  });
  return Object.fromEntries(actions);
}

/** torchvision's ResNet of any depth: [1,224,224,3] to logits [1, classes]. */
function resnet(tf: Tf, weights: StateDict): Layer {
  const stem = convolution(tf, weights, { conv: 'conv1', norm: 'bn1', stride: 2, activation: 'relu' });
  const blocks: Layer[] = [];
  for (const stage of [1, 2, 3, 4]) {
    for (let i = 0; weights.has(`layer${stage}.${i}.conv1.weight`); i++) {
      blocks.push(residualBlock(tf, weights, `layer${stage}.${i}`, stage > 1 && i === 0 ? 2 : 1));
    }
  }
  const { shape, data } = entry(weights, 'fc.weight');
  // [classes, features] transposed here: with `transposeB`, this backend's fused product (4.22) is wrong.
  const head = tf.tidy(() => tf.transpose(tf.tensor(data, shape), [1, 0]));
  const headBias = tf.tensor(entry(weights, 'fc.bias').data, [shape[0] ?? 0]);
  return (image) => {
    let x = tf.maxPool(stem(image), 3, 2, 1);
    for (const block of blocks) x = block(x);
    return tf.fused.matMul({ a: tf.mean(x, [1, 2]), b: head, bias: headBias });
  };
}

/** Two 3x3 convolutions, or 1x1, 3x3 and 1x1; the first 3x3 has the stride. */
function residualBlock(tf: Tf, weights: StateDict, name: string, stride: number): Layer {
  const bottleneck = weights.has(`${name}.conv3.weight`);
  const [strided, last] = bottleneck ? [2, 3] : [1, 2];
  const body = Array.from({ length: last }, (_, i) =>
    convolution(tf, weights, {
      conv: `${name}.conv${i + 1}`,
      norm: `${name}.bn${i + 1}`,
      stride: i + 1 === strided ? stride : 1,
      activation: i + 1 === last ? 'linear' : 'relu',
    }),
  );
  const shortcut: Layer = weights.has(`${name}.downsample.0.weight`)
    ? convolution(tf, weights, {
        conv: `${name}.downsample.0`,
        norm: `${name}.downsample.1`,
        stride,
        activation: 'linear',
      })
    : (x) => x;
  return (x) =>
    tf.relu(
      tf.add(
        body.reduce((y, layer) => layer(y), x),
        shortcut(x),
      ),
    );
}

/** A convolution with its batch norm folded in: norm(w x) = (scale w) x + shift, for each output channel. */
function convolution(
  tf: Tf,
  weights: StateDict,
  options: { conv: string; norm: string; stride: number; activation: 'linear' | 'relu' },
): Layer {
  const { conv, norm, stride, activation } = options;
  const { shape, data } = entry(weights, `${conv}.weight`);
  const [gamma, beta, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(
    (part) => entry(weights, `${norm}.${part}`).data,
  );
  if (!gamma || !beta || !mean || !variance) throw new Error(`${norm} is incomplete`);
  const scale = gamma.map((value, c) => value / Math.sqrt((variance[c] ?? 0) + 1e-5));
  const perChannel = data.length / scale.length;
  const folded = data.map((w, i) => w * (scale[Math.floor(i / perChannel)] ?? 0));
  // [out,in,kh,kw] to [kh,kw,in,out]
  const filter = tf.tidy(() => tf.transpose(tf.tensor(folded, shape), [2, 3, 1, 0]));
  const bias = tf.tensor(
    beta.map((value, c) => value - (mean[c] ?? 0) * (scale[c] ?? 0)),
    [beta.length],
  );
  const pad = ((shape[2] ?? 1) - 1) / 2;
  return (x) => tf.fused.conv2d({ x, filter, bias, strides: stride, pad, activation });
}

function entry(weights: StateDict, key: string): { shape: readonly number[]; data: Float32Array } {
  const found = weights.get(key);
  if (!(found?.data instanceof Float32Array)) throw new Error(`the weights have no float32 "${key}"`);
  return { shape: found.shape, data: found.data };
}

/** [1,C,H,W] to [1,H,W,C]. */
function channelsLast(values: Float32Array, [, channels, height, width]: typeof INPUT_SHAPE) {
  const pixels = height * width;
  const rearranged = values.map((_, i) => values[(i % channels) * pixels + Math.floor(i / channels)] ?? 0);
  return { values: rearranged, shape: [1, height, width, channels] };
}

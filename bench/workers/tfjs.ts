import { readFileSync } from 'node:fs';
import type { StateDict } from '../../src/index.ts';
import type { Job } from '../protocol.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { importLibrary } from './library.ts';
import { type Loaded, serveActions } from './serve.ts';
import { openBackend, type Tf, type TfTensor } from './tf.ts';

/*
 * TensorFlow.js on its WebAssembly or its WebGPU backend: a ResNet from torchvision's state dict, with batch norms folded
 * into the convolutions, and bias and ReLU fused, as its converter would do it.
 */

type Layer = (x: TfTensor) => TfTensor;

await serveActions(async ({ safetensors, input, device, threads }: Job): Promise<Loaded> => {
  // It starts threads by `Worker`, which only browsers have as a global.
  if (device === 'cpu' && threads !== 1) throw new Error('it has no threads in Node');
  const { tf, about, adapter, values } = await openBackend(device);
  const { parseSafetensors } = await importLibrary();
  const network = resnet(tf, parseSafetensors(readFileSync(safetensors), safetensors));
  const image = channelsLast(readInput(input), INPUT_SHAPE);
  return {
    about: `${about}, batch norms folded, bias and ReLU fused`,
    adapter,
    actions: { forward: () => values(() => network(tf.tensor(image.values, image.shape))) },
  };
});

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

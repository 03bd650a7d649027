import { type Convolution, padding } from '../convolutions.ts';
import { type Operand, randomOperands } from './operands.ts';
import { type Prepared, serveConvolutions } from './serve.ts';
import { type Backend, openBackend, type TfTensor } from './tf.ts';

/* Single convolutions of TensorFlow.js on WebGPU. */

await serveConvolutions(async () => {
  const backend = await openBackend('webgpu');
  const { about, adapter } = backend;
  return { about, adapter, prepare: (shape) => convolution(backend, shape) };
});

/** relu(conv(x) + bias), with channels innermost until it is read. */
function convolution({ tf, values }: Backend, shape: Convolution): Prepared {
  const { x, weight, bias } = randomOperands(shape);
  const upload = ({ values, shape }: Operand, axes: readonly number[]) =>
    tf.tidy(() => tf.transpose(tf.tensor(values, shape), axes));
  const image = upload(x, [0, 2, 3, 1]);
  const filter = upload(weight, [2, 3, 1, 0]);
  const shift = tf.tensor(bias.values, bias.shape);
  const y = (): TfTensor =>
    tf.fused.conv2d({
      x: image,
      filter,
      bias: shift,
      strides: shape.stride,
      pad: padding(shape.kernel),
      activation: 'relu',
    });
  return {
    all: () => values(() => tf.transpose(y(), [0, 3, 1, 2])),
    one: (runs) =>
      values(() => {
        for (let run = 1; run < runs; run++) y().dispose();
        return tf.slice(y(), [0, 0, 0, 0], [1, 1, 1, 1]);
      }),
  };
}

import fc from 'fast-check';
import { it } from 'vitest';
import {
  adaptiveAvgPool2dDefinition,
  adaptiveAvgPool2dGradientDefinition,
  type Pool2dAttributes,
  pool2dDefinition,
  pool2dGradientDefinition,
} from '../../../src/kernels/pool/index.ts';
import { CHANNELS_LAST, denseLayout } from '../../../src/tensor/layout.ts';
import { at } from '../../../src/tensor/shape.ts';
import { anyCuts, describeKernelPairs, expectSame, filled, wave } from '../../support/kernel-pair.ts';
import { expectClose } from '../../support/numbers.ts';

/** Relative L2 of averages: TypeScript divides each value, WebAssembly their sum. */
const ROUNDING = 1e-7;

const size = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }));
const images = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  channels: fc.integer({ min: 4, max: 21 }),
  size,
  scores: fc.integer({ min: 1, max: 3 }),
  ties: fc.boolean(),
  cuts: anyCuts,
});

const attributes = fc
  .record({
    mode: fc.constantFrom('max', 'average'),
    kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    stride: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    dilation: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    ceilMode: fc.boolean(),
    countIncludePad: fc.boolean(),
    padded: fc.tuple(fc.boolean(), fc.boolean()),
  })
  .map(
    ({ padded, ...rest }): Pool2dAttributes => ({
      ...rest,
      dilation: rest.mode === 'max' ? rest.dilation : [1, 1],
      padding: [padded[0] ? rest.kernel[0] >> 1 : 0, padded[1] ? rest.kernel[1] >> 1 : 0],
    }),
  );

const SPECIAL = [Number.NaN, Number.NEGATIVE_INFINITY, 0, -0, Number.POSITIVE_INFINITY];
/** Few different values, among them those that compare in special ways. */
const tied = (length: number) =>
  Float32Array.from({ length }, (_, i) => ((i * 7919) % 11 === 3 ? at(SPECIAL, i % 5) : (i * i) % 4));

const activations = (shape: readonly number[], phase: number, ties = false) =>
  filled(denseLayout(shape, CHANNELS_LAST), (length) => (ties ? tied(length) : wave(length, phase)));

describeKernelPairs('the pooling kernels', (pair) => {
  it('take maxima and averages of windows, and propagate their gradients', () => {
    fc.assert(
      fc.property(images, attributes, ({ batch, channels, size: [h, w], scores, ties, cuts }, attributes) => {
        const x = activations([batch, channels, h, w], 0, ties && attributes.mode === 'max');
        const [output] = outputsOf(() => pool2dDefinition.outputs([{ ...x, dtype: 'float32' }], attributes));
        fc.pre(output !== undefined);
        const forward = pair.compute(pool2dDefinition, [x], attributes, cuts);
        if (attributes.mode === 'max') expectSame(at(forward.wasm, 0), at(forward.typescript, 0));
        else expectClose(at(forward.wasm, 0), at(forward.typescript, 0), ROUNDING);

        const dy = activations([scores * batch, ...output.shape.slice(1)], 1);
        const backward = pair.compute(pool2dGradientDefinition, [dy, x], attributes, cuts);
        expectSame(at(backward.wasm, 0), at(backward.typescript, 0));
      }),
      { numRuns: 150 },
    );
  });

  it('average windows that divide the image evenly, and propagate the gradient', () => {
    fc.assert(
      fc.property(images, size, ({ batch, channels, size: [h, w], scores, cuts }, out) => {
        const x = activations([batch, channels, h, w], 0);
        const forward = pair.compute(adaptiveAvgPool2dDefinition, [x], { size: out }, cuts);
        expectClose(at(forward.wasm, 0), at(forward.typescript, 0), ROUNDING);
        const dy = activations([scores * batch, channels, ...out], 1);
        const backward = pair.compute(adaptiveAvgPool2dGradientDefinition, [dy, x], { size: out }, cuts);
        expectSame(at(backward.wasm, 0), at(backward.typescript, 0));
      }),
      { numRuns: 100 },
    );
  });
});

/** Nothing where no window fits. */
function outputsOf<T>(outputs: () => readonly T[]): readonly T[] {
  try {
    return outputs();
  } catch {
    return [];
  }
}

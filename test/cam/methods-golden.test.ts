import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  gradCamPlusPlusWeights,
  gradCamWeights,
  hiResCamWeights,
  layerCamWeights,
  weightedChannels,
  xGradCamWeights,
} from '../../src/cam/activation/index.ts';
import type { Method } from '../../src/cam/method.ts';
import { type BaseMethodName, createMethod, type MethodOptions, namedMethod } from '../../src/cam/methods.ts';
import type { ObservedPass } from '../../src/cam/observe.ts';
import { tensor } from '../../src/kernels/index.ts';
import { loadModel, type Model } from '../../src/nn/model.ts';
import type { StateDict } from '../../src/nn/weights/host-array.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { type Scope, withScope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose, relativeError } from '../support/numbers.ts';
import { randomModel } from '../support/random-model.ts';
import { describeShared, shared } from '../support/shared.ts';

/** The values of a file by key, as float32. */
function reader(file: string, arrays: StateDict) {
  return (key: string) => {
    const array = arrays.get(key);
    if (!array) throw new Error(`${file} has no ${key}`);
    return { data: Float32Array.from(array.data), shape: array.shape };
  };
}

/** Parts of equal size. */
function parts(values: Float32Array, count: number): Float32Array[] {
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => values.slice(i * size, (i + 1) * size));
}

const negative = (values: Float32Array) => values.map((value) => -value);
const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0);

describeDevice('raw maps', (device) => {
  describeShared('of a trained network, as pytorch-grad-cam has them', () => {
    describe.each([
      { file: 'resnet20-dog-cat-64-layer3.2-top5', layer: 'layer3.2', afterRelu: true },
      { file: 'resnet20-coco78-48-layer2.2.conv2-top3', layer: 'layer2.2.conv2', afterRelu: false },
    ])('$file', ({ file, layer, afterRelu }) => {
      let golden: ReturnType<typeof reader>;
      let model: Model;
      beforeAll(() => {
        golden = reader(file, parseSafetensors(shared(`golden/${file}.safetensors`), file));
        model = loadModel('resnet20-cifar10', shared('models/resnet20-12fca82f.th'));
        return () => {
          model.release(device());
          expect(device().memory().blocks, 'blocks left on the device').toBe(0);
        };
      });

      /** One map for each class. */
      const run = (name: BaseMethodName, options: MethodOptions = {}) =>
        withScope(async (scope) => {
          const { data, shape } = golden('input');
          const input = tensor(device(), data, shape, { scope });
          const classes = [Array.from(golden('top').data)];
          const maps = await createMethod(namedMethod(name), options)({ model, input, layer, classes });
          return parts(Float32Array.from(await maps.data()), at(maps.shape, 1));
        });
      const peer = (name: string) => {
        const { data, shape } = golden(`peer/${name}/raw`);
        return parts(data, at(shape, 0));
      };

      it.each(['grad-cam', 'xgrad-cam', 'hires-cam', 'layer-cam'] as const)('%s', async (name) => {
        const expected = peer(name);
        for (const [k, map] of (await run(name)).entries()) expectClose(map, at(expected, k), TOLERANCE, `class ${k}`);
      });

      // Grad-CAM++ is made for activations without a sign. In front of a ReLU its denominators come near zero, and the
      // peer's own float32 is a thousandth away from float64.
      if (afterRelu) {
        it('grad-cam++, with the number that the peer adds to the denominator', async () => {
          const expected = peer('grad-cam++');
          for (const [k, map] of (await run('grad-cam++', { epsilon: 1e-6 })).entries()) {
            expectClose(map, at(expected, k), TOLERANCE, `class ${k}`);
          }
        });
      }

      it.each(['eigen-cam', 'eigen-grad-cam'] as const)('%s, but for the sign', async (name) => {
        const expected = peer(name);
        for (const [k, map] of (await run(name)).entries()) {
          const other = at(expected, k);
          const error = Math.min(relativeError(map, other), relativeError(map, negative(other)));
          expect(error, `class ${k}`).toBeLessThanOrEqual(TOLERANCE);
        }
      });

      // Takes half a minute on a software GPU; methods.test.ts has a smaller one.
      if (afterRelu && process.env.FMGCAM_TEST_DEVICE !== 'webgpu') {
        it('score-cam', async () => {
          const expected = peer('score-cam');
          for (const [k, map] of (await run('score-cam')).entries()) expectClose(map, at(expected, k), TOLERANCE);
        });
      }

      if (afterRelu) {
        it('ablation-cam, but for the sign where the logit is negative', async () => {
          const expected = peer('ablation-cam');
          const { data: logits } = golden('logits');
          const top = golden('top').data;
          for (const [k, map] of (await run('ablation-cam')).entries()) {
            const logit = at(logits, at(top, k));
            // Everything is divided by the logit, whose own rounding counts the more the smaller it is.
            const tolerance = TOLERANCE * Math.max(1, 1 / Math.abs(logit));
            expectClose(map, logit < 0 ? negative(at(expected, k)) : at(expected, k), tolerance, `logit ${logit}`);
          }
        });
      }
    });
  });

  describe('of random activations, as PyTorch computes them from the definitions', () => {
    const FILE = '../expected/methods.safetensors';
    const expected = reader(FILE, parseSafetensors(readFileSync(new URL(FILE, import.meta.url)), FILE));
    const model = randomModel();
    const { shape } = expected('gradients');
    const [N = 0, K = 0] = shape;

    /** The method on activations and gradients that are given. */
    const run = (method: Method) =>
      withScope(async (scope: Scope) => {
        const upload = (key: string) => tensor(device(), expected(key).data, expected(key).shape, { scope });
        const input = tensor(device(), new Float32Array(N * 3), [N, 3, 1, 1], { scope });
        const observed: ObservedPass = {
          ...{ layer: 'layer3', logits: input, probs: input, activations: upload('activations') },
          gradientsOf: () => upload('gradients'),
          free: () => {},
        };
        const classes = Array.from({ length: N }, () => Array.from({ length: K }, (_, k) => k));
        return (await method({ model, input, layer: 'layer3', classes, observed })).data();
      });
    const named = (name: BaseMethodName, options: MethodOptions = {}) => createMethod(namedMethod(name), options);

    it.each<[string, Method]>([
      ['grad-cam++', named('grad-cam++')],
      ['eigen-cam/centred', named('eigen-cam')],
      ['eigen-cam/uncentred', named('eigen-cam', { centre: false })],
      ['eigen-grad-cam', named('eigen-grad-cam')],
      // What HiResCAM adds up, smoothed, is what Eigen-GradCAM decomposes.
      ['eigen-grad-cam', named('hires-cam', { eigenSmooth: true })],
    ])('%s', async (key, method) => {
      expectClose(await run(method), expected(key).data, TOLERANCE, key);
    });

    it('eigenSmooth decomposes the weighted channels of every method', async () => {
      const weights = { gradCamWeights, xGradCamWeights, layerCamWeights, hiResCamWeights };
      for (const [name, each] of Object.entries({ ...weights, plusPlus: gradCamPlusPlusWeights() })) {
        const smooth = parts(Float32Array.from(await run(weightedChannels(each, { eigenSmooth: true }))), N * K);
        const plain = parts(Float32Array.from(await run(weightedChannels(each))), N * K);
        for (const [map, component] of smooth.entries()) {
          // Components are projections of centred pixels, on the side of the sum.
          expect(Math.abs(sum(component)), name).toBeLessThan(
            1e-4 * component.reduce((most, v) => Math.max(most, Math.abs(v)), 0) * component.length,
          );
          expect(sum(component.map((value, i) => value * at(at(plain, map), i))), name).toBeGreaterThan(0);
        }
      }
    });
  });
});

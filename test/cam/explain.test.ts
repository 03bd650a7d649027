import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type ExplainOptions, explainTensor } from '../../src/cam/explain.ts';
import { InputError, UsageError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/index.ts';
import type { ForwardPass } from '../../src/nn/forward-pass.ts';
import { ReLU } from '../../src/nn/layers.ts';
import { Model } from '../../src/nn/model.ts';
import { Module } from '../../src/nn/module.ts';
import { type Scope, withScope } from '../../src/tensor/scope.ts';
import { type Shape, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice } from '../support/devices.ts';
import { randomArray, randomModel } from '../support/random-model.ts';

const model = randomModel();
const IMAGE = [1, 3, 8, 8];

/** A network with a layer that its forward pass leaves out. */
class WithUnusedLayer extends Module {
  readonly used = model.module;
  readonly unused = new ReLU();

  forward(x: Tensor, pass: ForwardPass): Tensor {
    return pass.call(this.used, x);
  }
}

describeDevice('explainTensor', (device) => {
  afterEach(() => {
    model.release(device());
    expect(device().memory().blocks, 'blocks left on the device').toBe(0);
  });
  afterAll(() => expect(device().memory().live).toBe(0));

  const upload = (scope: Scope, values: Float32Array | Int32Array, shape: Shape = IMAGE) =>
    tensor(device(), values, shape, { scope });
  const image = (scope: Scope, seed = 1) => upload(scope, randomArray(seed, IMAGE));

  describe('refuses', () => {
    async function expectError(error: Error, explain: (scope: Scope) => Promise<unknown>): Promise<void> {
      expect(error.message).not.toMatch(/[\n\r]/);
      await expect(withScope(explain)).rejects.toThrow(error);
    }

    const badOptions: [string, ExplainOptions, string][] = [
      [
        'an unknown layer',
        { layer: 'layer4' },
        'layer "layer4" not found; this model has conv1, bn1, layer1, layer2, layer3, linear',
      ],
      [
        'an unknown layer below a known one',
        { layer: 'layer3.3' },
        'layer "layer3.3" not found; this model has layer3.0, layer3.1, layer3.2',
      ],
      [
        'a layer that is no feature map',
        { layer: 'linear' },
        'layer "linear" returns [1, 10], which is no feature map [N,C,I,J]; choose a convolutional layer, such as layer3',
      ],
      ['K = 0', { topK: 0 }, 'topK 0 is out of range: this model has 10 classes; use 1 to 10'],
      ['K above the classes', { topK: 11 }, 'topK 11 is out of range: this model has 10 classes; use 1 to 10'],
      ['half a class', { topK: 2.5 }, 'topK 2.5 is out of range: this model has 10 classes; use 1 to 10'],
      ['K and classes', { topK: 1, classes: [3] }, 'give either classes or topK, not both'],
      ['no classes', { classes: [] }, 'classes is empty; name at least one class'],
      ['one class twice', { classes: ['Cat', 3] }, 'classes Cat, 3 name one class twice'],
      [
        'an unknown name',
        { classes: ['zebra'] },
        'class "zebra" is unknown to resnet20-cifar10; use a name, or an index from 0 to 9',
      ],
      [
        'an index too large',
        { classes: [10] },
        'class "10" is unknown to resnet20-cifar10; use a name, or an index from 0 to 9',
      ],
      [
        'a negative index',
        { classes: [-1] },
        'class "-1" is unknown to resnet20-cifar10; use a name, or an index from 0 to 9',
      ],
      [
        'an index of half',
        { classes: [0.5] },
        'class "0.5" is unknown to resnet20-cifar10; use a name, or an index from 0 to 9',
      ],
      ['an unknown mode', { mode: 'exact' as never }, 'mode "exact" is unknown; use paper or reference'],
      ['an unknown activation', { activation: 'tanh' as never }, 'activation "tanh" is unknown; use relu, elu, gelu'],
    ];
    it.each(badOptions)('%s', async (_, options, message) => {
      await expectError(new UsageError(message), (scope) => explainTensor(model, image(scope), options));
    });

    const badShapes: [Shape, string][] = [
      [[3, 8, 8], 'resnet20-cifar10: the input must be one or more images [N,3,H,W], not [3, 8, 8]'],
      [[1, 1, 8, 8], 'resnet20-cifar10: the input must be one or more images [N,3,H,W], not [1, 1, 8, 8]'],
      [[0, 3, 8, 8], 'resnet20-cifar10: the input must be one or more images [N,3,H,W], not [0, 3, 8, 8]'],
      [
        [1, 3, 3, 8],
        "resnet20-cifar10: an input of 3 x 8 is smaller than the network's stride of 4; use 4 x 4 pixels or more",
      ],
    ];
    it.each(badShapes)('an input of shape %j', async (shape, message) => {
      await expectError(new UsageError(message), (scope) =>
        explainTensor(model, upload(scope, new Float32Array(sizeOf(shape)), shape)),
      );
    });

    it('integers', () =>
      expectError(
        new UsageError('conv2d computes in float32 and got an int32 tensor; read it with data() instead'),
        (scope) => explainTensor(model, upload(scope, new Int32Array(sizeOf(IMAGE)))),
      ));

    it.each([Number.NaN, Number.POSITIVE_INFINITY])('an image with a pixel of %d', (value) => {
      const values = randomArray(1, IMAGE).fill(value, 40, 41);
      const message =
        'resnet20-cifar10: the logits are not finite; look for NaN or infinite values in the input, or compare the devices layer by layer';
      return expectError(new InputError(message), (scope) => explainTensor(model, upload(scope, values)));
    });

    it('a layer that does not run', () => {
      const network = new Model('resnet20-cifar10', new WithUnusedLayer(), model.labels);
      const message = 'layer "unused" does not run in this network\'s forward pass; choose another';
      return expectError(new UsageError(message), (scope) => explainTensor(network, image(scope), { layer: 'unused' }));
    });
  });

  it('finds classes by index, by name in any case, and by an index in a string', () =>
    withScope(async (scope) => {
      using explanation = await explainTensor(model, image(scope), { classes: [9, 'CAT', '0'] });
      expect(explanation.classes[0]?.map(({ index, name }) => [index, name])).toEqual([
        [9, 'truck'],
        [3, 'cat'],
        [0, 'airplane'],
      ]);
    }));

  it('explains five classes at the last stage when nothing is asked for', () =>
    withScope(async (scope) => {
      using explanation = await explainTensor(model, image(scope));
      expect(explanation.classes.map(({ length }) => length)).toEqual([5]);
      expect(explanation.layer).toBe('layer3');
      expect(explanation.maps).toBe(explanation.steps.fm_g_cam);
      expect(explanation.maps.shape).toEqual([1, 5, 2, 2]);
    }));

  it('names the classes in descending order of probability, with their logits', () =>
    withScope(async (scope) => {
      using explanation = await explainTensor(model, image(scope), { topK: 10 });
      const classes = explanation.classes[0] ?? [];
      const probabilities = classes.map(({ probability }) => probability);
      expect(probabilities).toEqual(probabilities.toSorted((a, b) => b - a));
      expect(probabilities.reduce((sum, p) => sum + p)).toBeCloseTo(1, 5);
      const logits = await explanation.steps.logits.data();
      expect(classes.map(({ logit }) => logit)).toEqual(classes.map(({ index }) => logits[index]));
    }));

  it('leaves no memory behind, explanation after explanation', () =>
    withScope(async (scope) => {
      const input = image(scope);
      const explain = async () => {
        using explanation = await explainTensor(model, input, { topK: 2, layer: 'layer3.2.bn2' });
        await explanation.maps.data();
      };
      for (let i = 0; i < 3; i++) await explain();
      const before = device().memory();
      for (let i = 0; i < 197; i++) await explain();
      expect(device().memory()).toEqual(before);
    }));

  it('explains several images at a time as one after the other', () =>
    withScope(async (scope) => {
      const explain = async (seed: number) => {
        using explanation = await explainTensor(model, image(scope, seed), { topK: 3, layer: 'layer2' });
        const { R, gradients, fm_g_cam } = explanation.steps;
        return Promise.all([R, gradients, fm_g_cam].map((step) => step.data()));
      };
      const seeds = [1, 2, 3, 4];
      const sequential = [];
      for (const seed of seeds) sequential.push(await explain(seed));
      expect(await Promise.all(seeds.map(explain))).toEqual(sequential);
    }));

  it('can be disposed of twice', () =>
    withScope(async (scope) => {
      const explanation = await explainTensor(model, image(scope));
      explanation.dispose();
      explanation.dispose();
    }));
});

import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { mul, scalar, tensor } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, randomModel } from '../support/random-model.ts';

/** One network of each family; layers behind which it can begin, and layers that are inside of something else. */
const NETWORKS = [
  {
    ...{ name: 'resnet20-cifar10', size: 16, last: 'layer3' },
    begin: ['conv1', 'bn1', 'layer1', 'layer2.1', 'layer3'],
    inside: { 'layer1.0.conv1': 'bn1', 'layer2.0.bn1': 'layer1.2', 'layer3.2.conv2': 'layer3.1' },
  },
  {
    ...{ name: 'resnet18', size: 32, last: 'layer4' },
    begin: ['relu', 'maxpool', 'layer2.0', 'layer4', 'avgpool'],
    inside: { 'layer1.0.bn2': 'maxpool', 'layer4.1.relu': 'layer4.0', 'layer2.0.downsample.1': 'layer1.1' },
  },
  {
    ...{ name: 'resnet18v2', size: 32, last: 'relu' },
    begin: ['conv1', 'layer3', 'bn', 'relu'],
    inside: { 'layer4.1.relu': 'layer4.0' },
  },
  {
    ...{ name: 'densenet121', size: 32, last: 'features' },
    begin: ['features.norm0', 'features.denseblock1', 'features.transition3.conv', 'features.norm5', 'features'],
    inside: { 'features.denseblock2.denselayer3.conv2': 'features.transition1.pool' },
  },
] as const;

describeDevice('a pass that begins behind a layer', (device) => {
  describe.each(NETWORKS)('$name', ({ name, size, last, begin, inside }) => {
    const model = randomModel(name);
    afterAll(() => {
      model.release(device());
      expect(device().memory().blocks, 'blocks left on the device').toBe(0);
    });
    const image = (scope: Scope) => {
      const shape = [2, 3, size, size];
      return tensor(device(), randomArray(7, shape), shape, { scope });
    };

    it.each(begin)('has the logits of the whole pass: %s', async (layer) => {
      using scope = new Scope();
      let output: Tensor | undefined;
      const keep = (value: Tensor) => {
        output = value.alias({ scope });
        return value;
      };
      const logits = model.forward(image(scope), { [layer]: keep });
      if (!output) throw new Error(`${layer} does not run`);
      expectClose(await model.forwardFrom(layer, output).data(), await logits.data(), TOLERANCE, layer);
      expect(model.after(layer)).toBeDefined();
    });

    it('goes around nothing: a layer inside of a block is no place to begin', async () => {
      using scope = new Scope();
      for (const [layer, before] of Object.entries(inside)) {
        expect(model.after(layer)).toBeUndefined();
        expect(model.entryTo(layer)).toBe(before);
        expect(() => model.forwardFrom(layer, image(scope))).toThrow(
          new UsageError(`${name}: the rest of the network needs more than the output of "${layer}"; begin before`),
        );
      }
    });

    it('ends with the average and the linear head', () => {
      expect(model.after(last)?.map((module) => module.constructor.name)).toEqual([
        'AdaptiveAvgPool2d',
        'Flatten',
        'Linear',
      ]);
    });

    it('runs a changed output of a layer inside of a block', async () => {
      using scope = new Scope();
      for (const [layer, before] of Object.entries(inside)) {
        const double = (output: Tensor) => mul(output, scalar(device(), 2, scope));
        let entry: Tensor | undefined;
        const keep = (value: Tensor) => {
          entry = value.alias({ scope });
          return value;
        };
        const whole = model.forward(image(scope), { [before]: keep, [layer]: double });
        if (!entry) throw new Error(`${before} does not run`);
        const rest = model.forwardFrom(before, entry, { [layer]: double });
        expectClose(await rest.data(), await whole.data(), TOLERANCE, layer);
      }
    });
  });

  it('has no place before the first layer', () => {
    const model = randomModel();
    expect(model.entryTo('conv1')).toBeUndefined();
  });
});

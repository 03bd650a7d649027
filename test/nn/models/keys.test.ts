import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/errors.ts';
import { layersOf, loadModel } from '../../../src/nn/model.ts';
import { architecture, architectures, MODEL_NAMES } from '../../../src/nn/models/registry.ts';

/** The names and shapes of torchvision's state dicts (scripts/pytorch/key_shapes.py). */
const torchvision: Record<string, Record<string, number[]>> = JSON.parse(
  readFileSync(new URL('../../expected/keys.json', import.meta.url), 'utf8'),
);

describe('state dicts', () => {
  it.each(Object.entries(torchvision))('of %s have the keys and shapes of torchvision', (name, shapes) => {
    const { build, labels } = architecture(name);
    expect(Object.fromEntries(build(labels.length).stateShapes())).toEqual(shapes);
  });

  it('of every torchvision architecture are compared', () => {
    const ours = MODEL_NAMES.filter((name) => !/v2$|-cifar10$|-scenes$/.test(name));
    expect(Object.keys(torchvision).sort()).toEqual(ours.sort());
  });

  it.each(MODEL_NAMES)('of %s end with a head of as many classes as asked for', (name) => {
    const { build, head } = architecture(name);
    expect(build(7).stateShapes().get(head)).toEqual([7]);
  });
});

describe('layers', () => {
  it.each([
    ['resnet50', ['conv1', 'bn1', 'layer1.0.downsample.1', 'layer4', 'layer4.2.conv3', 'avgpool', 'fc']],
    ['densenet121', ['features', 'features.conv0', 'features.denseblock4.denselayer16.conv2', 'features.norm5']],
    ['resnet50v2', ['layer4.2.conv3', 'bn', 'relu']],
    ['resnet20-cifar10', ['layer3', 'layer3.2.conv2', 'layer2.0.shortcut', 'linear']],
  ])('of %s have the dotted names of PyTorch', (name, some) => {
    expect(layersOf(name)).toEqual(expect.arrayContaining(some));
  });

  it.each(Object.entries(architectures))('of %s contain the one that is explained by default', (name, { layer }) => {
    expect(layersOf(name)).toContain(layer);
  });

  it.each([
    [
      'layer5',
      'layer "layer5" not found; this model has conv1, bn1, relu, maxpool, layer1, layer2, layer3, layer4, avgpool, fc',
    ],
    ['layer4.7', 'layer "layer4.7" not found; this model has layer4.0, layer4.1'],
    [
      'layer4.1.conv3',
      'layer "layer4.1.conv3" not found; this model has layer4.1.conv1, layer4.1.bn1, layer4.1.relu, layer4.1.conv2, layer4.1.bn2',
    ],
    ['', 'layer "" not found; this model has conv1, bn1, relu, maxpool, layer1, layer2, layer3, layer4, avgpool, fc'],
  ])('"%s" is unknown, and the message says what there is', (layer, message) => {
    expect(() => architecture('resnet18').build(10).module(layer)).toThrow(new UsageError(message));
  });
});

describe('models', () => {
  it.each(['resnet19', 'ResNet18', '', 'constructor', '__proto__'])(
    '"%s" is unknown, and the message names all',
    (name) => {
      const error = new UsageError(`model "${name}" is unknown; use one of ${MODEL_NAMES.join(', ')}`);
      expect(() => loadModel(name, new Uint8Array())).toThrow(error);
      expect(() => layersOf(name)).toThrow(error);
    },
  );
});

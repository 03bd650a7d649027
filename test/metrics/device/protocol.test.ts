import { afterAll, describe, expect, it } from 'vitest';
import { InputError } from '../../../src/errors.ts';
import { squash } from '../../../src/image/preprocess.ts';
import {
  type EvaluationSettings,
  evaluateImage,
  methodsOf,
  type Protocol,
  protocolChoices,
  publishedLayer,
} from '../../../src/metrics/evaluation/protocol.ts';
import { loadModel, type Model } from '../../../src/nn/model.ts';
import { parseSafetensors } from '../../../src/nn/weights/safetensors.ts';
import { at } from '../../../src/tensor/shape.ts';
import { describeDevice } from '../../support/devices.ts';
import { expectMap } from '../../support/numbers.ts';
import { randomModel } from '../../support/random-model.ts';
import { describeShared, shared } from '../../support/shared.ts';

const FILE = 'resnet20-dog-cat-64-layer3.2-top5';

function settingsOf(protocol: Protocol, model: Model, size: number): EvaluationSettings {
  return {
    protocol,
    model: model.name,
    weights: '',
    layer: 'layer3.2',
    methods: ['fm-g-cam', 'grad-cam'],
    topK: 5,
    squashFirst: protocol === 'published' ? { size, filter: 'bicubic' } : null,
    preprocessing: squash(size),
    // The maps are tested here, not the curves: one step will do.
    ...protocolChoices(protocol, { steps: 1 }),
    iouThreshold: 0.2,
  };
}

describeDevice('protocols', (device) => {
  describeShared('on a trained network', () => {
    const golden = parseSafetensors(shared(`golden/${FILE}.safetensors`), FILE);
    const array = (key: string) => Array.from(golden.get(key)?.data ?? [], Number);
    const photo = { width: 64, height: 64, data: Uint8Array.from(array('image_u8')) };
    const model = loadModel('resnet20-cifar10', shared('models/resnet20-12fca82f.th'));
    const cells = 16 * 16;

    /** What the evaluation code of the paper's authors makes of class k, from PyTorch's gradients and activations. */
    function authorsMap(k: number): number[] {
      const [alpha, activations] = [array('alpha'), array('activations')];
      const channels = activations.length / cells;
      const product = Array.from({ length: channels }, (_, c) => {
        let weight = 1;
        for (let rank = 0; rank <= k; rank++) weight *= at(alpha, rank * channels + c);
        return weight;
      });
      const weighted = Array.from({ length: cells }, (_, cell) =>
        product.reduce((sum, weight, c) => sum + (weight * at(activations, c * cells + cell)) / channels, 0),
      );
      const positive = weighted.map((value, cell) => {
        const column = weighted.filter((_, other) => other % 16 === cell % 16);
        return Math.max(0, value / Math.max(Math.hypot(...column), 1e-12));
      });
      const [least, most] = [Math.min(...positive), Math.max(...positive)];
      return positive.map((value) => (value - least) / (most - least));
    }

    afterAll(() => {
      model.release(device());
      expect(device().memory().blocks, 'blocks left on the device').toBe(0);
    });

    it("published: the authors' maps, scored for the class whose index is the rank", async () => {
      const [fused = [], single = []] = await evaluateImage(model, device(), photo, settingsOf('published', model, 64));
      for (const [k, { map }] of fused.entries()) expectMap(map.data, authorsMap(k), `fm-g-cam, rank ${k + 1}`);
      expectMap(at(single, 0).map.data, array('metric/grad_cam_0/map'), 'grad-cam, rank 1');
      for (const results of [fused, single]) {
        expect(results.map(({ index }) => index)).toEqual(array('top'));
        expect(results.map(({ metrics }) => metrics.classes)).toEqual(
          [0, 1, 2, 3, 4].map((rank) => ({ deletion: rank, insertion: rank })),
        );
        expect(at(results, 0).metrics.settings).toMatchObject({
          deletionFill: 'box-blur',
          insertionFill: 'box-blur',
          ranking: 'native',
        });
      }
    });

    it('described: equation 6, scored for the class at the rank, both with one norm over all classes', async () => {
      const [fused = [], single = []] = await evaluateImage(model, device(), photo, settingsOf('described', model, 64));
      const expected = array('fm_g_cam');
      for (const [k, { map, metrics, index, probability }] of fused.entries()) {
        expectMap(map.data, expected.slice(k * cells, (k + 1) * cells), `fm-g-cam, rank ${k + 1}`);
        expect(metrics.classes).toEqual({ deletion: index, insertion: index });
        expect(probability).toBeCloseTo(at(array('probs'), index), 4);
      }
      const R = array('R');
      const norm = Math.hypot(...R);
      for (const [k, { map }] of single.entries())
        expectMap(
          map.data,
          R.slice(k * cells, (k + 1) * cells).map((value) => Math.max(0, value) / norm),
          `rank ${k + 1}`,
        );
    });
  });

  describe('without a trained network', () => {
    const model = randomModel();
    const photo = { width: 5, height: 7, data: Uint8Array.from({ length: 105 }, (_, i) => (37 * i) % 256) };
    afterAll(() => model.release(device()));

    it('the published layer is the last convolution of the last stage', () => {
      expect(publishedLayer(model)).toBe('layer3.2.conv2');
    });

    it("the described protocol takes any method that has a map for each class, and the published one the paper's", async () => {
      expect(methodsOf('published')).toEqual(['fm-g-cam', 'grad-cam']);
      expect(methodsOf('described')).toEqual(expect.arrayContaining(['fm-g-cam', 'fm-layer-cam', 'score-cam', 'rise']));
      expect(methodsOf('described')).not.toContain('dff');
      const methods = ['layer-cam', 'fm-layer-cam', 'input-x-gradient'];
      const settings = { ...settingsOf('described', model, 8), methods };
      const results = await evaluateImage(model, device(), photo, settings);
      for (const ranks of results.slice(0, 2)) expect(ranks.map(({ map }) => map.height)).toEqual(Array(5).fill(2));
      const [single, fused, ofPixels] = results.map((ranks) => ranks.flatMap(({ map }) => Array.from(map.data)));
      // Both have a norm of one in front of the ReLU, and LayerCAM of ReLUs is not negative.
      expect(Math.hypot(...(single ?? []))).toBeCloseTo(1, 5);
      expect(Math.hypot(...(fused ?? []))).toBeCloseTo(1, 5);
      expect(fused?.filter((value) => value > 0).length).toBeLessThan(single?.filter((value) => value > 0).length ?? 0);
      expect(ofPixels).toHaveLength(5 * 8 * 8);
    });

    it('an unknown method is refused with the known ones', async () => {
      const settings = { ...settingsOf('described', model, 8), methods: ['lime'] };
      await expect(evaluateImage(model, device(), photo, settings)).rejects.toThrow(
        'method "lime" is unknown to protocol described; use fm-g-cam, grad-cam',
      );
    });

    it('a network that returns no numbers is an error of the image', async () => {
      const settings = settingsOf('described', model, 8);
      const broken = { ...settings, preprocessing: { ...settings.preprocessing, std: [0, 0, 0] as const } };
      await expect(evaluateImage(model, device(), photo, broken)).rejects.toThrow(InputError);
    });
  });
});

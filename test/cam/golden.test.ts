import { beforeAll, describe, expect, it } from 'vitest';
import { ACTIVATIONS, activate, gradCam } from '../../src/cam/algorithm.ts';
import { type Explanation, explainTensor } from '../../src/cam/explain.ts';
import { referenceMaps } from '../../src/cam/reference.ts';
import { tensor } from '../../src/kernels/index.ts';
import { loadModel } from '../../src/nn/model.ts';
import type { StateDict } from '../../src/nn/weights/host-array.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { Scope } from '../../src/tensor/scope.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose, expectMap } from '../support/numbers.ts';
import { describeShared, shared } from '../support/shared.ts';

/* A trained CIFAR-10 network on real photographs, against PyTorch in float64 and against the paper's own library. */

const cases = [
  { file: 'resnet20-dog-cat-64-layer3.2-top5', layer: 'layer3.2', topK: 5 },
  { file: 'resnet20-coco78-48-layer2.2.conv2-top3', layer: 'layer2.2.conv2', topK: 3 },
];

describeDevice('golden values', (device) => {
  describeShared('of a trained network', () => {
    describe.each(cases)('$file', ({ file, layer, topK }) => {
      let golden: StateDict;
      const expected = (key: string) => {
        const array = golden.get(key);
        if (!array) throw new Error(`${file} has no ${key}`);
        return array;
      };
      const scope = new Scope();
      let explanation: Explanation;

      beforeAll(async () => {
        golden = parseSafetensors(shared(`golden/${file}.safetensors`), file);
        const model = loadModel('resnet20-cifar10', shared('models/resnet20-12fca82f.th'));
        const { data, shape } = expected('input');
        const input = tensor(device(), Float32Array.from(data), shape, { scope });
        explanation = await explainTensor(model, input, { layer, topK });
        return () => {
          explanation.dispose();
          model.release(device());
          scope.dispose();
          expect(device().memory().blocks, 'blocks left on the device').toBe(0);
        };
      });

      it('top classes are identical', () => {
        expect(explanation.classes[0]?.map(({ index }) => index)).toEqual(Array.from(expected('top').data));
      });

      it.each(['logits', 'probs', 'activations', 'gradients', 'alpha', 'R', 'S', 'S_normalised'] as const)(
        '%s',
        async (key) => {
          expectClose(await explanation.steps[key].data(), expected(key).data, TOLERANCE, key);
        },
      );

      const derived = async (compute: (steps: Explanation['steps']) => Tensor) => {
        using map = compute(explanation.steps);
        return map.data();
      };

      it.each(ACTIVATIONS)('fm_g_cam with %s', async (activation) => {
        const key = activation === 'relu' ? 'fm_g_cam' : `fm_g_cam_${activation}`;
        expectMap(await derived(({ S_normalised }) => activate(S_normalised, activation)), expected(key).data);
      });

      it.each(ACTIVATIONS)('reference mode with %s', async (activation) => {
        const maps = await derived(({ alpha, activations }) => referenceMaps(alpha, activations, { activation }));
        expectMap(maps, expected(`reference_${activation}`).data);
      });

      it('reference mode without enhancement', async () => {
        const maps = await derived(({ alpha, activations }) => referenceMaps(alpha, activations, { enhance: false }));
        expectMap(maps, expected('reference_no_enhance').data);
      });

      it('Grad-CAM, as the most used Python library computes it', async () => {
        const positive = expected('peer/grad-cam/raw').data.map((value) => Math.max(value, 0));
        expectClose(
          await derived(({ alpha, activations }) => gradCam(alpha, activations)),
          positive,
          TOLERANCE,
          'grad-cam',
        );
      });
    });
  });
});

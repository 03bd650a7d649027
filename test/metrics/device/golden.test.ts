import { afterAll, expect, it } from 'vitest';
import { tensor } from '../../../src/kernels/index.ts';
import { type Faithfulness, faithfulness, type MapOfClass } from '../../../src/metrics/faithfulness.ts';
import { type Fill, type MetricSettings, metricSettings } from '../../../src/metrics/settings.ts';
import { loadModel } from '../../../src/nn/model.ts';
import { parseSafetensors } from '../../../src/nn/weights/safetensors.ts';
import { withScope } from '../../../src/tensor/scope.ts';
import { at } from '../../../src/tensor/shape.ts';
import { describeDevice } from '../../support/devices.ts';
import { describeShared, shared } from '../../support/shared.ts';

/* A trained network on a photograph, against the metrics library that the FM-G-CAM paper used. */

const FILE = 'resnet20-dog-cat-64-layer3.2-top5';
const TOLERANCE = 1e-4;

/** By the library's name. */
const FILLS: ReadonlyMap<string, Fill> = new Map([
  ['black', 'zero'],
  ['blur', 'box-blur'],
]);

/**
 * Maps without ties and fills, each with 512 forward passes: all of them on the fastest device, one pair on the software
 * drivers. Elsewhere they would take minutes; the other metrics, of four passes, are compared on all.
 */
const ALL: [string, string][] = ['signed_0', 'signed_1'].flatMap((map) =>
  [...FILLS.keys()].map((fill): [string, string] => [map, fill]),
);
const CURVES = () => {
  if (process.env.FMGCAM_TEST_DEVICE === 'webgpu') return ALL.slice(-1);
  return process.env.FMGCAM_CPU_KERNELS === 'wasm-relaxed' ? ALL : [];
};

describeDevice('metrics of the preset gomez-2022', (device) => {
  describeShared('of a trained network', () => {
    const golden = parseSafetensors(shared(`golden/${FILE}.safetensors`), FILE);
    const model = loadModel('resnet20-cifar10', shared('models/resnet20-12fca82f.th'));
    const array = (key: string) => {
      const found = golden.get(key);
      if (!found) throw new Error(`${FILE} has no ${key}`);
      return found;
    };
    const mapOf = (name: string): MapOfClass => {
      const { data, shape } = array(`metric/${name}/map`);
      // The rank of the explained class is at the end of the name.
      const index = Number(array('top').data[Number(name.at(-1))]);
      return { data: Float32Array.from(data), height: at(shape, 1), width: at(shape, 2), class: index };
    };
    const measure = (name: string, changes: Partial<MetricSettings>): Promise<Faithfulness> =>
      withScope(async (scope) => {
        const { data, shape } = array('input');
        const image = tensor(device(), Float32Array.from(data), shape, { scope });
        const settings = metricSettings('gomez-2022', changes);
        return at(await faithfulness((batch) => model.forward(batch), image, [mapOf(name)], settings), 0);
      });
    const expectGolden = (actual: number | null, key: string) =>
      expect(Math.abs((actual ?? Number.NaN) - Number(array(key).data[0])), key).toBeLessThanOrEqual(TOLERANCE);

    afterAll(() => {
      model.release(device());
      expect(device().memory().blocks, 'blocks left on the device').toBe(0);
    });

    it.each(CURVES())('%s with %s: DAUC, DC, IAUC, IC', { timeout: 300_000 }, async (map, fill) => {
      const name = FILLS.get(fill) ?? 'mean';
      const result = await measure(map, { deletionFill: name, insertionFill: name });
      expect(result.tied).toBe(0);
      for (const metric of ['dauc', 'dc', 'iauc', 'ic'] as const)
        expectGolden(result[metric], `metric/${map}/${fill}/${metric}`);
    });

    // They do not depend on the order of the cells, so that one step will do.
    it.each(['signed_0', 'signed_1', 'unfiltered_1', 'grad_cam_0', 'fm_g_cam_0'])('%s: AD, IIC, ADD', async (map) => {
      const result = await measure(map, { steps: 1 });
      for (const metric of ['ad', 'iic', 'add'] as const) expectGolden(result[metric], `metric/${map}/${metric}`);
    });
  });
});

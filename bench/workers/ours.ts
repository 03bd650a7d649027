import { readFileSync } from 'node:fs';
import type { MapOfClass, Mode, Scope, Tensor } from '../../src/index.ts';
import { sizeOf } from '../../src/tensor/shape.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { adapterOf, describeDevice, importLibrary } from './library.ts';
import { countDispatches, recordingTime } from './recording.ts';
import { serveActions } from './serve.ts';

/* This library: from an input on the host to logits, fused maps, or metrics, on the host; and what recording costs it. */

/** Two maps of 7 x 7 cells without ties; those of bench/workers/pytorch.py. */
const MAPS: readonly MapOfClass[] = [0, 1].map((index) => ({
  data: Array.from({ length: 49 }, (_, cell) => ((37 * cell + 11 * index) % 49) / 48),
  height: 7,
  width: 7,
  class: index,
}));

/** [1, 3, height, width] */
const SMALL_SHAPE = [1, 3, 32, 32];

await serveActions(async ({ network, device: processor, safetensors, input }) => {
  const { createDevice, explainTensor, faithfulness, loadModel, metricSettings, tensor, withScope } =
    await importLibrary();
  const device = await createDevice(processor);
  const model = loadModel(network, readFileSync(safetensors), { file: safetensors });
  const values = readInput(input);

  // The host does as much for a small image, and the driver next to nothing beside it.
  const small = (scope: Scope) => tensor(device, values.subarray(0, sizeOf(SMALL_SHAPE)), SMALL_SHAPE, { scope });
  const forward = () => withScope((scope) => model.forward(tensor(device, values, INPUT_SHAPE, { scope })).data());
  const explain = (mode: Mode) =>
    withScope(async (scope) => {
      const x = tensor(device, values, INPUT_SHAPE, { scope });
      using explanation = await explainTensor(model, x, { topK: 5, layer: 'layer4', mode });
      return await explanation.maps.data();
    });
  return {
    about: describeDevice(device),
    adapter: adapterOf(device),
    actions: {
      forward,
      dispatches: async () => [
        await countDispatches(device, () => withScope((scope) => model.forward(small(scope)).data())),
      ],
      record: () =>
        withScope(async (scope) => {
          const x = small(scope);
          return [await recordingTime(device, () => model.forward(x))];
        }),
      explain: () => explain('paper'),
      explainAsReference: () => explain('reference'),
      evaluate: () =>
        withScope(async (scope) => {
          const x = tensor(device, values, INPUT_SHAPE, { scope });
          const score = (batch: Tensor) => model.forward(batch);
          const results = await faithfulness(score, x, MAPS, metricSettings('gomez-2022'));
          return results.flatMap(({ curves }) => [...curves.deletion, ...curves.insertion]);
        }),
    },
  };
});

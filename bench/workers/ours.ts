import { readFileSync } from 'node:fs';
import type { Mode } from '../../src/index.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { describeDevice, importLibrary } from './library.ts';
import { serveActions } from './serve.ts';

/* This library on the CPU: from an input on the host to logits, or fused maps, on the host. */

await serveActions(async ({ network, safetensors, input }) => {
  const { createDevice, explainTensor, loadModel, tensor, withScope } = await importLibrary();
  const device = await createDevice('cpu');
  const model = loadModel(network, readFileSync(safetensors), { file: safetensors });
  const values = readInput(input);

  const explain = (mode: Mode) =>
    withScope(async (scope) => {
      const x = tensor(device, values, INPUT_SHAPE, { scope });
      using explanation = await explainTensor(model, x, { topK: 5, layer: 'layer4', mode });
      return await explanation.maps.data();
    });
  return {
    about: describeDevice(device),
    actions: {
      forward: () => withScope((scope) => model.forward(tensor(device, values, INPUT_SHAPE, { scope })).data()),
      explain: () => explain('paper'),
      explainAsReference: () => explain('reference'),
    },
  };
});

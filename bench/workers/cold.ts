import { readFileSync } from 'node:fs';
import type { Device, Model } from '../../src/index.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { adapterOf, importLibrary, type Library } from './library.ts';
import { serveActions } from './serve.ts';

/* The stages from a process that has only the bytes of the weights to explanation after explanation. */

await serveActions(async ({ network, device: processor, safetensors, input }) => {
  const bytes = readFileSync(safetensors);
  const values = readInput(input);
  let library: Library | undefined;
  let opened: { readonly device: Device; readonly model: Model } | undefined;

  const imported = (): Library => {
    if (!library) throw new Error('"import" comes first');
    return library;
  };
  return {
    // Nothing is open yet that could be described.
    about: '',
    get adapter() {
      return opened && adapterOf(opened.device);
    },
    actions: {
      import: async () => {
        library = await importLibrary();
        return [];
      },
      open: async () => {
        const { createDevice, loadModel } = imported();
        opened = { device: await createDevice(processor), model: loadModel(network, bytes) };
        return [];
      },
      explain: async () => {
        if (!opened) throw new Error('"open" comes first');
        const { device, model } = opened;
        const { explainTensor, tensor, withScope } = imported();
        return withScope(async (scope) => {
          const x = tensor(device, values, INPUT_SHAPE, { scope });
          using explanation = await explainTensor(model, x, { topK: 5 });
          return await explanation.maps.data();
        });
      },
    },
  };
});

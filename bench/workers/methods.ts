import { readFileSync } from 'node:fs';
import type { MethodName, Tensor } from '../../src/index.ts';
import {
  explained,
  FORWARD,
  GRADIENT_LAYERS,
  GRADIENT_METHODS,
  MANY_PASSES,
  type ManyPasses,
  passesOf,
} from '../methods.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { describeDevice, importLibrary } from './library.ts';
import { type Action, serveActions } from './serve.ts';

/* This library's methods on the CPU, and the passes of the network that they consist of. */

/** Variants in one pass: as many as the methods take on this device. */
const BATCH = 16;

await serveActions(async ({ network, safetensors, input }) => {
  const { concat, createDevice, explainTensor, loadModel, Scope, tensor, withScope } = await importLibrary();
  const device = await createDevice('cpu');
  const model = loadModel(network, readFileSync(safetensors), { file: safetensors });
  const values = readInput(input);

  const forward: Action = () =>
    withScope((scope) => model.forward(tensor(device, values, INPUT_SHAPE, { scope })).data());
  const explain = (method: MethodName, layer: string) => () =>
    withScope(async (scope) => {
      const x = tensor(device, values, INPUT_SHAPE, { scope });
      using explanation = await explainTensor(model, x, { method, topK: 5, layer });
      return await explanation.maps.data();
    });
  /** One pass of the image, and one of a variant for each channel, in batches that are there already. */
  const passes = ({ method, layer, channels }: ManyPasses): Action => {
    const kept = new Scope();
    const image = tensor(device, values, INPUT_SHAPE, { scope: kept });
    const images = concat(Array.from({ length: BATCH }, () => image));
    let atLayer = images;
    const keep = (output: Tensor) => {
      atLayer = output.alias({ scope: kept });
      return output;
    };
    model.forward(images, { [layer]: keep }).dispose();
    return async () => {
      let logits = await forward();
      for (let done = 0; done < channels; done += BATCH) {
        logits = await withScope((scope) =>
          (method === 'score-cam'
            ? model.forward(scope.enter(images))
            : model.forwardFrom(layer, scope.enter(atLayer))
          ).data(),
        );
      }
      return logits;
    };
  };

  const gradients = GRADIENT_LAYERS.flatMap((layer) =>
    GRADIENT_METHODS.map((method) => [explained({ method, layer }), explain(method, layer)] as const),
  );
  const manyPasses = MANY_PASSES.filter((contest) => contest.network === network).flatMap((contest) => [
    [explained(contest), explain(contest.method, contest.layer)] as const,
    [passesOf(contest), passes(contest)] as const,
  ]);
  return {
    about: describeDevice(device),
    actions: Object.fromEntries<Action>([[FORWARD, forward], ...gradients, ...manyPasses]),
  };
});

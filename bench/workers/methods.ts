import { readFileSync } from 'node:fs';
import type { MethodName, Tensor } from '../../src/index.ts';
import { GRADIENT_FREE_METHODS, GRADIENT_METHODS, INPUT } from '../explanations.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { describeDevice, importLibrary } from './library.ts';
import { type Action, serveActions } from './serve.ts';

/* Explanations by many methods on the CPU, and what they are held against. */

const CLASSES = 5;

await serveActions(async ({ network, safetensors, input }) => {
  const { createDevice, explainTensor, loadModel, tensor, withScope } = await importLibrary();
  const device = await createDevice('cpu');
  const model = loadModel(network, readFileSync(safetensors), { file: safetensors });
  const values = readInput(input);

  const forward = () => withScope((scope) => model.forward(tensor(device, values, INPUT_SHAPE, { scope })).data());

  const explain = (method: MethodName, layer: string) =>
    withScope(async (scope) => {
      const x = tensor(device, values, INPUT_SHAPE, { scope });
      using explanation = await explainTensor(model, x, { topK: CLASSES, layer, method });
      return await explanation.maps.data();
    });

  /** What the rest of the network begins with, for a batch of the same image. */
  const batches = new Map<string, Tensor>();
  const batchAt = (layer: string, batch: number) => {
    const key = `${layer} ${batch}`;
    const known = batches.get(key);
    if (known) return known;
    const copies = new Float32Array(batch * values.length);
    for (let n = 0; n < batch; n++) copies.set(values, n * values.length);
    let kept = tensor(device, copies, [batch, ...INPUT_SHAPE.slice(1)]);
    if (layer !== INPUT) {
      const images = kept;
      const keep = (output: Tensor) => {
        kept = output.alias({ scope: undefined });
        return output;
      };
      model.forward(images, { [layer]: keep }).dispose();
      images.dispose();
    }
    batches.set(key, kept);
    return kept;
  };
  /** A forward pass, and then so many images, a batch at a time, through all that comes behind a layer. */
  const plain = async (layer: string, count: number, batch: number) => {
    let logits = await forward();
    for (let done = 0; done < count; done += batch) {
      const entry = batchAt(layer, Math.min(batch, count - done));
      logits = await withScope((scope) => {
        const x = scope.enter(entry);
        return (layer === INPUT ? model.forward(x) : model.forwardFrom(layer, x)).data();
      });
    }
    return logits;
  };

  const actions: Record<string, Action> = { forward };
  for (const { method, layer } of GRADIENT_METHODS) actions[`${method} ${layer}`] = () => explain(method, layer);
  for (const { method, layer, from, variants, batch } of GRADIENT_FREE_METHODS) {
    actions[`${method} ${layer}`] = () => explain(method, layer);
    actions[`plain ${method} ${layer}`] = () => plain(from, variants, batch);
  }
  return { about: describeDevice(device), actions };
});

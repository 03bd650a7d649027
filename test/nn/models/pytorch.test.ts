import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tape } from '../../../src/autograd/tape.ts';
import { explainTensor } from '../../../src/cam/explain.ts';
import { tensor } from '../../../src/kernels/index.ts';
import { loadModel, type Model } from '../../../src/nn/model.ts';
import type { HostArray } from '../../../src/nn/weights/host-array.ts';
import { parseSafetensors } from '../../../src/nn/weights/safetensors.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import { at, sizeOf } from '../../../src/tensor/shape.ts';
import type { Tensor } from '../../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../../support/devices.ts';
import { describeNetworks, networkFile } from '../../support/networks.ts';
import { expectClose, expectMap } from '../../support/numbers.ts';

/* Whole networks against PyTorch in float64: every step of the algorithm on a full-size image, and the outputs of modules
   and their gradients on a small batch. TOLERANCE is relative (L2): 1e-5 on the CPU device, 1e-4 on WebGPU. */

/** `alone`: modules that are looked at one at a time too, where fusion goes different ways; `head`: the last module. */
const networks = [
  { name: 'resnet18', head: 'fc', alone: ['conv1', 'bn1', 'relu', 'layer2.0.downsample.0', 'layer4.1.bn2'] },
  { name: 'resnet50', head: 'fc', alone: ['layer1.0.bn2', 'layer4.2.conv3'] },
  { name: 'densenet121', head: 'classifier', alone: ['features.norm0', 'features.transition1.norm', 'features.norm5'] },
  { name: 'resnet50v2', head: 'fc', alone: ['layer1.0.bn1', 'layer1.0.bn2', 'bn'] },
  { name: 'resnet56-cifar10', head: 'linear', alone: ['conv1', 'layer1.0.bn2', 'layer2.0.shortcut'] },
  // Trained, on a picture.
  { name: 'resnet-scenes', head: 'fc', alone: ['bn1', 'layer2.0.downsample.1'] },
];

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength);

describeDevice('PyTorch', (device) => {
  describeNetworks('networks', () => {
    describe.each(networks)('$name', ({ name, head, alone }) => {
      let expected: ReadonlyMap<string, HostArray>;
      let model: Model;

      beforeAll(() => {
        expected = parseSafetensors(networkFile(`${name}.expected.safetensors`), name);
        model = loadModel(name, networkFile(`${name}.pth`));
      });
      afterAll(() => {
        model.release(device());
        expect(device().memory().blocks, 'blocks left on the device').toBe(0);
      });

      const stored = (key: string): HostArray => {
        const array = expected.get(key);
        if (!array) throw new Error(`${name} has no ${key}`);
        return array;
      };
      const keysIn = (folder: string) =>
        [...expected.keys()].flatMap((key) => (key.startsWith(folder) ? [key.slice(folder.length)] : []));
      const upload = (key: string, scope: Scope): Tensor => {
        const { data, shape } = stored(key);
        return tensor(device(), Float32Array.from(data), shape, { scope });
      };

      /** Runs the small batch and compares the outputs of these modules. */
      async function expectModules(modules: readonly string[]): Promise<void> {
        using scope = new Scope();
        const outputs = new Map<string, Tensor>();
        const keep = (module: string) => (output: Tensor) => {
          // A ReLU runs several times, and a hook in PyTorch keeps the last one.
          outputs.set(module, output.alias({ scope }));
          return output;
        };
        model.forward(upload('small_input', scope), Object.fromEntries(modules.map((name) => [name, keep(name)])));
        for (const module of modules) {
          const { data, shape } = stored(`module/${module}`);
          const output = outputs.get(module);
          expect(output?.shape, module).toEqual(shape);
          expectClose((await output?.data()) ?? [], data, TOLERANCE, module);
        }
      }

      it('outputs of all modules in one pass', () => expectModules(keysIn('module/')));
      it.each(alone)('output of %s alone', (module) => expectModules([module]));

      it('logits with nothing observed', async () => {
        using scope = new Scope();
        const logits = model.forward(upload('small_input', scope));
        expectClose(await logits.data(), stored(`module/${head}`).data, TOLERANCE);
      });

      it('the same weights, bit for bit, from .safetensors as from .pth', () => {
        const weights = loadModel(name, networkFile(`${name}.safetensors`)).module.parameters();
        const parameters = model.module.parameters();
        expect([...weights.keys()]).toEqual([...parameters.keys()]);
        for (const [key, { values }] of parameters) {
          const other = weights.get(key)?.values ?? new Float32Array();
          expect(Buffer.compare(bytesOf(values), bytesOf(other)), key).toBe(0);
        }
      });

      it('gradients of two scores at once with respect to modules', async () => {
        using scope = new Scope();
        using tape = new Tape();
        const modules = keysIn('module_grad/');
        const targets = new Map<string, Tensor>();
        const watch = (module: string) => (output: Tensor) => {
          const target = tape.watch(output);
          targets.set(module, target);
          return target;
        };
        const observers = Object.fromEntries(modules.map((module) => [module, watch(module)]));
        const logits = model.forward(upload('small_input', scope), observers);

        const [N = 0, classes = 0] = logits.shape;
        const top = stored('small_top').data;
        const shape = [top.length, N, classes];
        const oneHot = Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
          const k = Math.floor(i / (N * classes));
          return i % classes === top[k] ? 1 : 0;
        });
        const cotangents = tensor(device(), oneHot, shape, { scope });
        const gradients = tape.vjp(logits, cotangents, [...targets.values()]);
        for (const [i, module] of [...targets.keys()].entries()) {
          const { data, shape } = stored(`module_grad/${module}`);
          expect(at(gradients, i).shape, module).toEqual(shape);
          expectClose(await at(gradients, i).data(), data, TOLERANCE, module);
        }
        expect(targets.size).toBe(3);
      });

      it('every step of the algorithm at full size', async () => {
        using scope = new Scope();
        using explanation = await explainTensor(model, upload('input', scope));
        const { classes, steps } = explanation;
        expect(classes[0]?.map(({ index }) => index)).toEqual(Array.from(stored('top').data));
        for (const key of ['logits', 'probs', 'activations', 'gradients', 'alpha', 'R', 'S', 'S_normalised'] as const) {
          expect(steps[key].shape, key).toEqual([1, ...stored(key).shape]);
          expectClose(await steps[key].data(), stored(key).data, TOLERANCE, key);
        }
        expectMap(await steps.fm_g_cam.data(), stored('fm_g_cam').data);
      });
    });
  });
});

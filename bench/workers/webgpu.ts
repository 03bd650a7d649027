import { readFileSync } from 'node:fs';
import { type Convolution, describe, distinctShapes, padding, resnet50Convolutions } from '../convolutions.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { describeDevice, importLibrary, type Library } from './library.ts';
import { type Action, serveActions } from './serve.ts';

/* This library on WebGPU: networks, explanations, single convolutions, and what the host does for them. */

/** Runs of which the fastest is taken. The compiler of JavaScript needs some as well. */
const RUNS = 60;

await serveActions(async ({ network, safetensors, input }) => {
  const library = await importLibrary();
  const { createDevice, explainTensor, loadModel, tensor, withScope } = library;
  const device = await createDevice('webgpu');
  const model = loadModel(network, readFileSync(safetensors), { file: safetensors });
  const values = readInput(input);
  const shapes = distinctShapes(resnet50Convolutions()).map(({ shape }) => shape);
  return {
    about: `${describeDevice(device)}, ${device.name}`,
    actions: {
      forward: () => withScope((scope) => model.forward(tensor(device, values, INPUT_SHAPE, { scope })).data()),
      explain: () =>
        withScope(async (scope) => {
          const x = tensor(device, values, INPUT_SHAPE, { scope });
          using explanation = await explainTensor(model, x, { topK: 5, layer: 'layer4' });
          return await explanation.maps.data();
        }),
      host: async () => {
        const count = countDispatches(device);
        let least = Number.POSITIVE_INFINITY;
        for (let run = 0; run < RUNS; run++) {
          await withScope(async (scope) => {
            const x = tensor(device, values, INPUT_SHAPE, { scope });
            count.dispatches = 0;
            const start = performance.now();
            const logits = model.forward(x);
            device.flush();
            least = Math.min(least, performance.now() - start);
            await logits.data();
          });
        }
        return [(1000 * least) / count.dispatches, count.dispatches];
      },
      ...Object.fromEntries(shapes.map((shape) => [describe(shape), convolution(library, device, shape)])),
    },
  };
});

type GpuDevice = Awaited<ReturnType<Library['createDevice']>>;

/** Counts what the device dispatches from now on. */
function countDispatches(device: GpuDevice): { dispatches: number } {
  const count = { dispatches: 0 };
  if (!('gpu' in device)) return count;
  const gpu = device.gpu as GPUDevice;
  const createEncoder = gpu.createCommandEncoder.bind(gpu);
  gpu.createCommandEncoder = (descriptor) => {
    const encoder = createEncoder(descriptor);
    const beginPass = encoder.beginComputePass.bind(encoder);
    encoder.beginComputePass = (descriptor) => {
      const pass = beginPass(descriptor);
      const dispatch = pass.dispatchWorkgroups.bind(pass);
      pass.dispatchWorkgroups = (...sizes) => {
        count.dispatches += 1;
        dispatch(...sizes);
      };
      return pass;
    };
    return encoder;
  };
  return count;
}

/** relu(conv(x) + bias); reading one value waits for all. Its operands are made when it first runs. */
function convolution({ tensor, conv2d, slice, withScope }: Library, device: GpuDevice, shape: Convolution): Action {
  const { channels, out, kernel, stride, size } = shape;
  const values = (count: number) => Float32Array.from({ length: count }, () => Math.random() - 0.5);
  const make = () => ({
    x: tensor(device, values(channels * size * size), [1, channels, size, size], { order: [0, 2, 3, 1] }),
    weight: tensor(device, values(out * channels * kernel ** 2), [out, channels, kernel, kernel], { constant: true }),
    bias: tensor(device, values(out), [out], { constant: true }),
  });
  let operands: ReturnType<typeof make> | undefined;
  return () =>
    withScope((scope) => {
      operands ??= make();
      const { x, weight, bias } = operands;
      const y = conv2d(scope.enter(x), weight, { bias, stride, padding: padding(kernel), activation: 'relu' });
      return slice(y, [0, 0, 0, 0], [1, 1, 1, 1]).data();
    });
}

import { Command, Option } from 'commander';
import { defaultPreprocessing } from '../cam/explain-image.ts';
import { UsageError } from '../errors.ts';
import { decodeImage } from '../image/decode.ts';
import { preprocess, squash } from '../image/preprocess.ts';
import { type Device, openDevice, tensor } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import { relativeError } from '../relative-error.ts';
import type { HostData } from '../tensor/memory.ts';
import { withScope } from '../tensor/scope.ts';
import { formatShape, type Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { read } from './files.ts';
import {
  type Input,
  jsonOption,
  type ModelOptions,
  modelOption,
  print,
  progress,
  readInput,
  readModel,
  sizeOption,
  weightsOption,
} from './options.ts';

interface Options extends ModelOptions {
  readonly size?: number;
  readonly inputTensor?: string;
  readonly json?: true;
}

/** The outputs of all layers, in the order in which they ran. */
type Outputs = Map<string, { readonly shape: Shape; readonly data: HostData }>;

export function diffCommand(): Command {
  return new Command('diff')
    .description('run a model on both devices and print the error of each layer')
    .argument('[image]', 'PNG or JPEG file')
    .addOption(modelOption())
    .addOption(weightsOption())
    .addOption(sizeOption())
    .addOption(
      new Option('--input-tensor <file>', 'instead of an image: a safetensors file with `input` [N,3,H,W]').conflicts(
        'size',
      ),
    )
    .addOption(jsonOption())
    .action(run);
}

async function run(image: string | undefined, options: Options): Promise<void> {
  if ((image === undefined) === (options.inputTensor === undefined))
    throw new UsageError('give either an image or --input-tensor');
  const model = await readModel(options);
  const input =
    image === undefined ? await readInput(options.inputTensor ?? '') : await imageInput(image, model, options);
  const gpu = await outputsOn('webgpu', model, input);
  const cpu = await outputsOn('cpu', model, input);
  const rows = [...cpu].map(([layer, { shape, data }]) => {
    const other = gpu.get(layer)?.data ?? new Float32Array(0);
    let worst = 0;
    for (const [i, value] of data.entries()) worst = Math.max(worst, Math.abs(value - (other[i] ?? Number.NaN)));
    return { layer, shape, relativeL2: relativeError(other, data), maxAbsolute: worst };
  });
  if (options.json) {
    print(JSON.stringify({ model: model.name, layers: rows }, undefined, 2));
    return;
  }
  const width = Math.max(...rows.map(({ layer }) => layer.length));
  print(`${'layer'.padEnd(width)}  relative L2  largest difference  shape`);
  for (const { layer, shape, relativeL2, maxAbsolute } of rows) {
    const numbers = `${relativeL2.toExponential(1).padStart(11)}  ${maxAbsolute.toExponential(1).padStart(18)}`;
    print(`${layer.padEnd(width)}  ${numbers}  ${formatShape(shape)}`);
  }
}

async function imageInput(image: string, model: Model, { size }: Options): Promise<Input> {
  const photo = await decodeImage(await read(image), image);
  const { input, shape } = preprocess(photo, size === undefined ? defaultPreprocessing(model) : squash(size));
  return { data: input, shape };
}

/** One forward pass in which every layer is observed, so that none is fused with another. */
async function outputsOn(kind: 'webgpu' | 'cpu', model: Model, { data, shape }: Input): Promise<Outputs> {
  const device: Device = (await openDevice(kind)).device;
  progress(`${device.name} ...`);
  try {
    return await withScope(async (scope) => {
      const seen = new Map<string, Tensor>();
      const observers = model.layers().map((layer) => [
        layer,
        (output: Tensor) => {
          seen.get(layer)?.dispose();
          seen.set(layer, output.alias({ scope }));
          return output;
        },
      ]);
      const x = tensor(device, data, shape, { scope });
      model.forward(x, Object.fromEntries(observers));
      // Once more as `explain` runs it, with everything fused.
      seen.set('output', model.forward(x));
      const outputs: Outputs = new Map();
      for (const [layer, output] of seen) outputs.set(layer, { shape: output.shape, data: await output.data() });
      return outputs;
    });
  } finally {
    model.release(device);
    device.destroy();
  }
}

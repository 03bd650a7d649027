import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { ACTIVATIONS, type Activation } from '../cam/algorithm.ts';
import {
  type ExplainedClass,
  type ExplainOptions,
  type Explanation,
  explainTensor,
  MODES,
  type Mode,
} from '../cam/explain.ts';
import { explain, type ImageExplanation, PRESET_NAMES, type PresetName } from '../cam/explain-image.ts';
import { InputError, UsageError } from '../errors.ts';
import { type Drawing, rasterise } from '../image/drawing.ts';
import { encodePng } from '../image/encode.ts';
import { formatPercent } from '../image/figure.ts';
import { svgOf } from '../image/svg.ts';
import { type Device, tensor } from '../kernels/index.ts';
import { type Model, requireLayer } from '../nn/model.ts';
import type { HostArray } from '../nn/weights/host-array.ts';
import { serializeSafetensors } from '../nn/weights/safetensors.ts';
import { studyPage } from '../study/page.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { prepareFolder, read, requireFolderOf, resultPath, write } from './files.ts';
import {
  chooseDevice,
  type DeviceOptions,
  deviceOption,
  fraction,
  jsonOption,
  type ModelOptions,
  modelOption,
  precisionOption,
  print,
  progress,
  readInput,
  readModel,
  sizeOption,
  threadsOption,
  weightsOption,
  wholeNumber,
} from './options.ts';

const FORMATS = ['png', 'svg'] as const;
const METHODS = ['fm-g-cam', 'grad-cam'] as const;

interface Options extends ModelOptions, DeviceOptions {
  readonly layer?: string;
  readonly topk?: number;
  readonly classes?: string[];
  readonly mode: Mode;
  readonly method: (typeof METHODS)[number];
  readonly activation: Activation;
  readonly size?: number;
  readonly preset?: PresetName;
  readonly heatmapAlpha?: number;
  readonly out?: string;
  readonly format: (typeof FORMATS)[number];
  readonly json?: true;
  readonly inputTensor?: string;
  readonly saveTensors?: string;
  readonly trace?: string;
}

/** What is printed of one image. */
interface Result {
  readonly image: string;
  readonly classes: readonly ExplainedClass[];
  readonly files: readonly string[];
}

export function explainCommand(): Command {
  return new Command('explain')
    .description("show which parts of an image speak for each of a model's top classes")
    .argument('[image...]', 'PNG or JPEG files')
    .addOption(modelOption())
    .addOption(weightsOption())
    .option('--layer <name>', 'the layer to explain, spelt as PyTorch spells it; see `fmgcam layers`')
    .addOption(
      new Option('--topk <k>', 'explain the K most probable classes (default: 5)')
        .argParser(wholeNumber(1))
        .conflicts('classes'),
    )
    .addOption(
      new Option('--classes <list>', 'explain these classes: names or indices, separated by commas').argParser(list),
    )
    .addOption(
      new Option('--mode <mode>', "the paper's equations, or what its authors' library computes")
        .choices(MODES)
        .default('paper'),
    )
    .addOption(new Option('--method <name>', 'what the pictures show').choices(METHODS).default('fm-g-cam'))
    .addOption(new Option('--activation <name>', 'the activation of equation 6').choices(ACTIVATIONS).default('relu'))
    .addOption(sizeOption().conflicts('preset'))
    .addOption(
      new Option('--preset <weights>', 'prepare the image as torchvision does for these weights').choices(PRESET_NAMES),
    )
    .addOption(
      new Option('--heatmap-alpha <fraction>', 'how strongly the map covers the photograph').argParser(fraction),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(precisionOption())
    .option('--out <folder>', 'write the pictures here')
    .addOption(new Option('--format <name>', 'of the pictures').choices(FORMATS).default('png'))
    .addOption(jsonOption())
    .addOption(
      new Option(
        '--input-tensor <file>',
        'instead of an image: a safetensors file whose `input` [N,3,H,W] goes in as it is',
      ).conflicts(['size', 'preset', 'out']),
    )
    .option('--save-tensors <file>', 'write every intermediate of the algorithm to a safetensors file')
    .addOption(
      new Option('--trace <file>', 'write a page that walks through the algorithm on this image (HTML)').conflicts(
        'inputTensor',
      ),
    )
    .action(run);
}

function list(text: string): string[] {
  return text.split(',').map((entry) => entry.trim());
}

async function run(images: string[], options: Options): Promise<void> {
  await checkArguments(images, options);
  const model = await readModel(options);
  const device = await chooseDevice(options);
  try {
    const { mode, method, activation, json, inputTensor } = options;
    const layer = options.layer ?? model.architecture.layer;
    const results: Result[] = [];
    const explanations = inputTensor
      ? explainInputTensor(inputTensor, model, device, options)
      : explainImages(images, model, device, options);
    for await (const result of explanations) {
      results.push(result);
      // At once, so that an image that fails does not take the results of those before it along.
      if (!json) printResult(result, `${method} at ${layer}, mode ${mode}`);
    }
    const report = { model: model.name, device: device.name, layer, method, mode, activation, results };
    if (json) print(JSON.stringify(report, undefined, 2));
    if (images.length > 0 && !options.out) progress('no --out: no pictures were written');
  } finally {
    model.release(device);
    device.destroy();
  }
}

/** Everything that can be found wrong before the weights are read. */
async function checkArguments(images: readonly string[], options: Options): Promise<void> {
  const { inputTensor, saveTensors, trace, layer, model, out } = options;
  if (inputTensor && images.length > 0) throw new UsageError('give either images or --input-tensor, not both');
  if (!inputTensor && images.length === 0) throw new UsageError('no image: name one or more PNG or JPEG files');
  if (saveTensors && images.length > 1) throw new UsageError('--save-tensors takes one image at a time');
  if (trace && images.length > 1) throw new UsageError('--trace takes one image at a time');
  if (layer !== undefined) requireLayer(model, layer);
  if (saveTensors) await requireFolderOf(saveTensors);
  if (trace) await requireFolderOf(trace);
  if (out) {
    const duplicate = images.find(
      (image, i) => images.findIndex((other) => resultPath(out, other, '') === resultPath(out, image, '')) !== i,
    );
    if (duplicate)
      throw new UsageError(
        `${duplicate}: two images of one file name would write the same pictures; explain them one by one`,
      );
    await prepareFolder(out);
  }
}

function explainOptions({ layer, topk, classes, mode, activation }: Options): ExplainOptions {
  return {
    mode,
    activation,
    ...(layer !== undefined && { layer }),
    ...(topk !== undefined && { topK: topk }),
    ...(classes && { classes }),
  };
}

async function* explainImages(
  images: readonly string[],
  model: Model,
  device: Device,
  options: Options,
): AsyncGenerator<Result> {
  const { size, preset, heatmapAlpha, out, saveTensors, trace } = options;
  for (const image of images) {
    const start = performance.now();
    const bytes = await read(image);
    const settings = {
      ...explainOptions(options),
      device,
      file: image,
      ...(size !== undefined && { size }),
      ...(preset && { preset }),
      ...(heatmapAlpha !== undefined && { heatmapAlpha }),
    };
    using explained = await explain(model, bytes, settings);
    progress(`${image}: explained in ${((performance.now() - start) / 1000).toFixed(2)} s`);
    if (saveTensors) await save(saveTensors, explained.explanation);
    const files = out ? await writePictures(out, image, explained, options) : [];
    if (trace) {
      await write(trace, Buffer.from(await studyPage(model, bytes, { ...settings, file: basename(image) })));
      files.push(trace);
    }
    yield { image, classes: explained.classes, files };
  }
}

async function writePictures(
  folder: string,
  image: string,
  explained: ImageExplanation,
  { method, mode, format }: Options,
): Promise<string[]> {
  const fused = method === 'fm-g-cam';
  // Pictures of the two modes may lie side by side.
  const suffix = mode === 'paper' ? '' : `-${mode}`;
  const pictures: [name: string, picture: Drawing][] = [
    ...(fused ? [[`fm-g-cam${suffix}`, explained.fusedDrawing()] as [string, Drawing]] : []),
    ...explained.classes.map(({ name }, k): [string, Drawing] => [
      `grad-cam-${k + 1}-${name}`,
      explained.classDrawing(k),
    ]),
    [`contact-sheet${fused ? suffix : ''}`, explained.contactSheetDrawing({ fused })],
  ];
  const encode = async (name: string, picture: Drawing) =>
    format === 'svg' ? Buffer.from(await svgOf(picture, `${basename(image)}: ${name}`)) : encodePng(rasterise(picture));
  const encoded = await Promise.all(
    pictures.map(
      async ([name, picture]) => [resultPath(folder, image, name, format), await encode(name, picture)] as const,
    ),
  );
  for (const [file, bytes] of encoded) await write(file, bytes);
  return encoded.map(([file]) => file);
}

async function* explainInputTensor(
  file: string,
  model: Model,
  device: Device,
  options: Options,
): AsyncGenerator<Result> {
  const input = await readInput(file);
  if (!input.data.every(Number.isFinite)) throw new InputError(`${file}: "input" has values that are not finite`);
  using x = tensor(device, input.data, input.shape);
  using explanation = await explainTensor(model, x, explainOptions(options));
  if (options.saveTensors) await save(options.saveTensors, explanation);
  for (const [n, classes] of explanation.classes.entries()) {
    yield { image: explanation.classes.length === 1 ? file : `${file}, image ${n}`, classes, files: [] };
  }
}

/** The intermediates under the names of the golden files; a single image has no batch axis. */
async function save(file: string, { steps, classes }: Explanation): Promise<void> {
  const single = classes.length === 1;
  const host = async (step: Tensor): Promise<HostArray> => ({
    shape: single ? step.shape.slice(1) : step.shape,
    data: await step.data(),
  });
  const top = Int32Array.from(classes.flatMap((ofImage) => ofImage.map(({ index }) => index)));
  const topShape = single ? [top.length] : [classes.length, top.length / classes.length];
  const tensors: [string, HostArray][] = [['top', { shape: topShape, data: top }]];
  // Grad-CAM is alpha and the activations once more.
  const { grad_cam, ...saved } = steps;
  for (const [name, step] of Object.entries(saved)) tensors.push([name, await host(step)]);
  await write(file, serializeSafetensors(tensors));
  progress(`${file}: ${tensors.map(([name, { shape }]) => `${name} ${formatShape(shape)}`).join(', ')}`);
}

function printResult({ image, classes, files }: Result, what: string): void {
  print(`${image}: ${what}`);
  const width = Math.max(...classes.map(({ name }) => name.length));
  for (const [rank, { name, index, probability }] of classes.entries()) {
    print(`  ${rank + 1}. ${name.padEnd(width)}  ${formatPercent(probability).padStart(10)}  (class ${index})`);
  }
  for (const file of files) print(`  ${file}`);
}

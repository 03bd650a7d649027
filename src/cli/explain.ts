import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { ACTIVATIONS, type Activation } from '../cam/algorithm.ts';
import {
  type ExplainedClass,
  type ExplainMethodOptions,
  type Explanation,
  explainTensor,
  MODES,
  type Mode,
} from '../cam/explain.ts';
import { explain, type ImageExplanation, PRESET_NAMES, type PresetName } from '../cam/explain-image.ts';
import { createMethod, type NamedMethod, namedMethod } from '../cam/methods.ts';
import { InputError, UsageError } from '../errors.ts';
import { decodeImage } from '../image/decode.ts';
import { type Drawing, rasterise } from '../image/drawing.ts';
import { encodePng } from '../image/encode.ts';
import { formatPercent } from '../image/figure.ts';
import type { RgbImage } from '../image/image.ts';
import { svgOf } from '../image/svg.ts';
import { type Device, tensor } from '../kernels/index.ts';
import { type Model, requireLayer } from '../nn/model.ts';
import type { HostArray } from '../nn/weights/host-array.ts';
import { serializeSafetensors } from '../nn/weights/safetensors.ts';
import { studyPage } from '../study/page.ts';
import { at, formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cancellable } from './cancel.ts';
import { prepareFolder, read, requireFolderOf, resultPath, write } from './files.ts';
import { type MethodFlags, methodFlags, methodOptionsOf } from './method-options.ts';
import {
  chooseDevice,
  type DeviceOptions,
  deviceOption,
  fraction,
  jsonOption,
  list,
  type ModelOptions,
  modelName,
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
/** Milliseconds between lines that say how far the work is. */
const PROGRESS_INTERVAL = 2000;

interface Options extends ModelOptions, DeviceOptions, MethodFlags {
  readonly layer?: string[];
  readonly topk?: number;
  readonly classes?: string[];
  readonly mode: Mode;
  readonly method: string;
  readonly activation: Activation;
  readonly counterfactual?: true;
  readonly augSmooth?: true;
  readonly eigenSmooth?: true;
  readonly signed?: true;
  readonly size?: number;
  readonly preset?: PresetName;
  readonly heatmapAlpha?: number;
  readonly batch: number;
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
  const command = new Command('explain')
    .description("show which parts of an image speak for each of a model's top classes")
    .argument('[image...]', 'PNG or JPEG files')
    .addOption(modelOption())
    .addOption(weightsOption())
    .addOption(
      new Option(
        '--layer <names>',
        'the layer to explain, spelt as PyTorch spells it (see `fmgcam layers`), or several, separated by commas',
      ).argParser(list),
    )
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
    .addOption(
      new Option('--method <name>', 'how to explain: `fm-g-cam`, a method, or `fm-` and a method to fuse')
        .argParser((name) => namedMethod(name).name)
        .default('fm-g-cam'),
    )
    .addOption(new Option('--activation <name>', 'the activation of equation 6').choices(ACTIVATIONS).default('relu'))
    .option('--counterfactual', 'explain what speaks against the classes')
    .option('--aug-smooth', 'take the mean over reflected, darker and brighter versions of the image')
    .option('--eigen-smooth', 'take the first principal component of the weighted channels instead of their sum')
    .option('--signed', 'keep what is negative')
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
    .addOption(
      new Option('--batch <n>', 'images that go through the network together').argParser(wholeNumber(1)).default(1),
    )
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
    .action((images: string[], options: Options) =>
      cancellable('pictures that were written are whole', (signal) => run(images, options, signal)),
    );
  for (const option of methodFlags()) command.addOption(option);
  return command;
}

async function run(images: string[], options: Options, signal: AbortSignal): Promise<void> {
  const named = namedMethod(options.method);
  await checkArguments(images, named, options);
  const model = await readModel(options);
  const device = await chooseDevice(options);
  try {
    const { mode, activation, json, inputTensor } = options;
    const layer = named.info.layer ? (options.layer ?? [model.architecture.layer]).join(', ') : undefined;
    const what = [
      layer === undefined ? named.name : `${named.name} at ${layer}`,
      ...(named.base === 'grad-cam' ? [`mode ${mode}`] : []),
    ];
    const results: Result[] = [];
    const explanations = inputTensor
      ? explainInputTensor(inputTensor, model, device, options, signal)
      : explainImages(images, model, device, options, signal);
    for await (const result of explanations) {
      results.push(result);
      // At once, so that an image that fails does not take the results of those before it along.
      if (!json) printResult(result, what.join(', '));
    }
    const { name: method } = named;
    const report = { model: model.name, device: device.name, layer, method, mode, activation, results };
    if (json) print(JSON.stringify(report, undefined, 2));
    if (images.length > 0 && !options.out) progress('no --out: no pictures were written');
    const missing = images.length - results.length;
    if (images.length > 0 && missing > 0)
      throw new InputError(`${missing} of ${images.length} images could not be read; the others are explained`);
  } finally {
    model.release(device);
    device.destroy();
  }
}

/** Everything that can be found wrong before the weights are read. */
async function checkArguments(images: readonly string[], named: NamedMethod, options: Options): Promise<void> {
  const { inputTensor, saveTensors, trace, layer, out } = options;
  createMethod(named, methodOptionsOf(options));
  if (inputTensor && images.length > 0) throw new UsageError('give either images or --input-tensor, not both');
  if (!inputTensor && images.length === 0) throw new UsageError('no image: name one or more PNG or JPEG files');
  if (saveTensors && images.length > 1) throw new UsageError('--save-tensors takes one image at a time');
  if (trace && images.length > 1) throw new UsageError('--trace takes one image at a time');
  if (trace && (named.name !== 'fm-g-cam' || isChanged(options)))
    throw new UsageError('--trace walks through FM-G-CAM at one layer; leave --method and what changes it out');
  if (layer && !named.info.layer)
    throw new UsageError(`--method ${named.name} explains the image itself; leave --layer out`);
  for (const name of layer ?? []) requireLayer(modelName(options), name);
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

/** Whether it is something else than Algorithm 1 at one layer. */
function isChanged({ layer = [], counterfactual, augSmooth, eigenSmooth, signed }: Options): boolean {
  return layer.length > 1 || Boolean(counterfactual || augSmooth || eigenSmooth || signed);
}

function explainOptions(options: Options, subject: string, signal: AbortSignal): ExplainMethodOptions {
  const { layer, topk, classes, mode, activation, method } = options;
  const { counterfactual = false, augSmooth = false, eigenSmooth = false, signed = false } = options;
  return {
    ...{ mode, activation, counterfactual, augSmooth, eigenSmooth, signed, signal },
    method: namedMethod(method).name,
    methodOptions: methodOptionsOf(options),
    progress: progressOf(subject),
    ...(layer?.length === 1 ? { layer: at(layer, 0) } : layer && { layers: layer }),
    ...(topk !== undefined && { topK: topk }),
    ...(classes && { classes }),
  };
}

/** Says on stderr how far it is, from time to time. */
function progressOf(subject: string): (done: number, total: number) => void {
  let last = performance.now();
  return (done, total) => {
    if (performance.now() - last < PROGRESS_INTERVAL || done === total) return;
    last = performance.now();
    progress(`${subject}: ${Math.floor((100 * done) / total)} %`);
  };
}

async function* explainImages(
  images: readonly string[],
  model: Model,
  device: Device,
  options: Options,
  signal: AbortSignal,
): AsyncGenerator<Result> {
  const { size, preset, heatmapAlpha, batch } = options;
  for (let next = 0; next < images.length; next += batch) {
    const start = performance.now();
    const photos = await readPhotos(images.slice(next, next + batch), images.length > 1);
    if (photos.length === 0) continue;
    const subject = photos.map(({ image }) => image).join(', ');
    const explained = await explain(
      model,
      photos.map(({ photo }) => photo),
      {
        ...explainOptions(options, subject, signal),
        device,
        ...(size !== undefined && { size }),
        ...(preset && { preset }),
        ...(heatmapAlpha !== undefined && { heatmapAlpha }),
      },
    );
    progress(`${subject}: explained in ${((performance.now() - start) / 1000).toFixed(2)} s`);
    try {
      for (const [n, explanation] of explained.entries()) {
        const { image } = at(photos, n);
        yield { image, classes: explanation.classes, files: await writeFiles(image, explanation, model, options) };
      }
    } finally {
      for (const explanation of explained) explanation.dispose();
    }
  }
}

interface Photo {
  readonly image: string;
  readonly photo: RgbImage;
}

/** Decodes images; one that cannot be read is complained of and left out, unless it is the only one. */
async function readPhotos(images: readonly string[], several: boolean): Promise<Photo[]> {
  const photos: Photo[] = [];
  for (const image of images) {
    try {
      photos.push({ image, photo: await decodeImage(await read(image), image) });
    } catch (error) {
      if (!several || !(error instanceof InputError)) throw error;
      progress(error.message);
    }
  }
  return photos;
}

/** Everything that is asked for of one image. */
async function writeFiles(
  image: string,
  explained: ImageExplanation,
  model: Model,
  { out, saveTensors, trace, ...options }: Options,
): Promise<string[]> {
  if (saveTensors) await save(saveTensors, explained.explanation);
  const files = out ? await writePictures(out, image, explained, options) : [];
  if (trace) {
    await write(trace, Buffer.from(await studyPage(model, explained, { file: basename(image) })));
    files.push(trace);
  }
  return files;
}

async function writePictures(
  folder: string,
  image: string,
  explained: ImageExplanation,
  options: Pick<Options, 'mode' | 'format' | 'method' | 'counterfactual' | 'signed'>,
): Promise<string[]> {
  const { mode, format } = options;
  const { name: method, base, fused } = namedMethod(options.method);
  // Pictures of one image by several methods, in either mode, may lie side by side.
  const changes = (['counterfactual', 'signed'] as const).filter((change) => options[change]);
  const single = [base, ...changes].join('-');
  const whole = [...(fused && mode !== 'paper' ? [mode] : []), ...changes];
  const sheet = method === 'fm-g-cam' ? 'contact-sheet' : `contact-sheet-${method}`;
  const pictures: [name: string, picture: Drawing][] = [
    ...(fused ? [[[method, ...whole].join('-'), explained.fusedDrawing()] as [string, Drawing]] : []),
    ...explained.singleNames.map((name, k): [string, Drawing] => [
      name ? `${single}-${name}` : single,
      explained.classDrawing(k),
    ]),
    [[sheet, ...whole].join('-'), explained.contactSheetDrawing()],
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
  signal: AbortSignal,
): AsyncGenerator<Result> {
  const input = await readInput(file);
  if (!input.data.every(Number.isFinite)) throw new InputError(`${file}: "input" has values that are not finite`);
  using x = tensor(device, input.data, input.shape);
  using explanation = await explainTensor(model, x, explainOptions(options, file, signal));
  if (options.saveTensors) await save(options.saveTensors, explanation);
  for (const [n, classes] of explanation.classes.entries()) {
    yield { image: explanation.classes.length === 1 ? file : `${file}, image ${n}`, classes, files: [] };
  }
}

/** The intermediates under the names of the golden files; a single image has no batch axis. */
async function save(file: string, explanation: Explanation): Promise<void> {
  const { classes } = explanation;
  const single = classes.length === 1;
  const host = async (step: Tensor): Promise<HostArray> => ({
    shape: single ? step.shape.slice(1) : step.shape,
    data: await step.data(),
  });
  const top = Int32Array.from(classes.flatMap((ofImage) => ofImage.map(({ index }) => index)));
  const topShape = single ? [top.length] : [classes.length, top.length / classes.length];
  const tensors: [string, HostArray][] = [['top', { shape: topShape, data: top }]];
  for (const [name, step] of Object.entries(savedSteps(explanation))) tensors.push([name, await host(step)]);
  await write(file, serializeSafetensors(tensors));
  progress(`${file}: ${tensors.map(([name, { shape }]) => `${name} ${formatShape(shape)}`).join(', ')}`);
}

function savedSteps(explanation: Explanation): Readonly<Record<string, Tensor>> {
  if (!explanation.hasSteps) return { ...explanation.tensors };
  // Grad-CAM is alpha and the activations once more.
  const { grad_cam, ...saved } = explanation.steps;
  return saved;
}

function printResult({ image, classes, files }: Result, what: string): void {
  print(`${image}: ${what}`);
  const width = Math.max(...classes.map(({ name }) => name.length));
  for (const [rank, { name, index, probability }] of classes.entries()) {
    print(`  ${rank + 1}. ${name.padEnd(width)}  ${formatPercent(probability).padStart(10)}  (class ${index})`);
  }
  for (const file of files) print(`  ${file}`);
}

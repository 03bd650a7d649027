import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { defaultPreprocessing, PRESET_NAMES, type PresetName } from '../cam/explain-image.ts';
import { InputError, UsageError } from '../errors.ts';
import { decodeImage } from '../image/decode.ts';
import type { RgbImage } from '../image/image.ts';
import { PRESETS, type Preprocessing, squash } from '../image/preprocess.ts';
import type { Device } from '../kernels/index.ts';
import {
  type EvaluationSettings,
  evaluateImage,
  mapMethod,
  PROTOCOLS,
  type Protocol,
  protocolChoices,
  publishedLayer,
} from '../metrics/evaluation/protocol.ts';
import { FORMAT, type Header, type ImageRecord, isError, rankRecord, VERSION } from '../metrics/evaluation/records.ts';
import { formatSummary, Summariser, type Summary } from '../metrics/evaluation/summary.ts';
import type { ScoringOptions } from '../metrics/frames.ts';
import { DEFAULT_THRESHOLD } from '../metrics/localisation.ts';
import { FILLS, type MetricSettings, RANKINGS, SCORES, TIE_RULES } from '../metrics/settings.ts';
import { loadModel, type Model, requireLayer } from '../nn/model.ts';
import { at } from '../tensor/shape.ts';
import { cancellable } from './cancel.ts';
import { read, requireFolderOf } from './files.ts';
import { describeList, imagesOf, type ListedImage } from './image-list.ts';
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
  readWeights,
  sizeOption,
  threadsOption,
  weightsOption,
  wholeNumber,
} from './options.ts';
import { ResultsWriter, readResults, Seen } from './results-file.ts';
import { chooseShard, ofShard } from './shard.ts';

interface Options
  extends ModelOptions,
    DeviceOptions,
    Partial<Pick<MetricSettings, 'deletionFill' | 'insertionFill' | 'ranking' | 'steps' | 'ties' | 'score'>> {
  readonly layer?: string;
  readonly method: string[];
  readonly protocol: Protocol;
  readonly topk: number;
  readonly size?: number;
  readonly preset?: PresetName;
  readonly iouThreshold: number;
  readonly batchSize?: number;
  readonly shard?: string;
  readonly shards?: number;
  readonly out: string;
  readonly json?: true;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description("measure how faithful methods are, by the FM-G-CAM paper's evaluation")
    .argument(
      '<images>',
      'a folder of PNG and JPEG files, or a text file that names one in each line, with masks or without (docs/evaluation.md)',
    )
    .addOption(modelOption())
    .addOption(weightsOption())
    .option('--layer <name>', 'the layer to explain; the protocol decides when left out')
    .addOption(
      new Option('--method <list>', 'the first one is compared with the others')
        .argParser(list)
        .default(['fm-g-cam', 'grad-cam'], 'fm-g-cam,grad-cam'),
    )
    .addOption(
      new Option('--protocol <name>', "what the authors' code does, or what their text says")
        .choices(PROTOCOLS)
        .makeOptionMandatory(),
    )
    .addOption(new Option('--topk <k>', 'how many of the most probable classes').argParser(wholeNumber(1)).default(5))
    .addOption(sizeOption().conflicts('preset'))
    .addOption(
      new Option('--preset <weights>', 'prepare images as torchvision does for these weights').choices(PRESET_NAMES),
    )
    .addOption(new Option('--deletion-fill <name>', 'in place of removed pixels').choices(FILLS))
    .addOption(new Option('--insertion-fill <name>', 'what insertion starts from').choices(FILLS))
    .addOption(new Option('--ranking <name>', 'rank the cells of the map, or pixels').choices(RANKINGS))
    .addOption(new Option('--steps <n>', 'about how many steps a curve has').argParser(wholeNumber(1)))
    .addOption(new Option('--ties <rule>', 'which of equal cells comes first').choices(TIE_RULES))
    .addOption(new Option('--score <kind>', 'what is followed').choices(SCORES))
    .addOption(
      new Option('--iou-threshold <share>', "of a map's maximum: what counts as marked, where the list names masks")
        .argParser(fraction)
        .default(DEFAULT_THRESHOLD),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(precisionOption())
    .addOption(new Option('--batch-size <n>', 'pictures in a forward pass').argParser(wholeNumber(1)))
    .option('--shard <i/n>', 'evaluate only part i of n; from a Slurm array or a Kubernetes Indexed Job when left out')
    .addOption(new Option('--shards <n>', 'how many parts, where the job knows only its own').argParser(wholeNumber(1)))
    .requiredOption('--out <file>', 'results as JSON Lines; a run that was stopped goes on with them')
    .addOption(jsonOption())
    .action((source: string, options: Options) =>
      cancellable('the same command goes on where it stopped', (signal) => run(source, options, signal)),
    );
}

async function run(source: string, options: Options, signal: AbortSignal): Promise<void> {
  const shard = chooseShard(options.shard, options.shards, process.env);
  await requireFolderOf(options.out);
  const { file, bytes } = await readWeights(options);
  const model = loadModel(modelName(options), bytes, { file });
  const settings = settingsOf(model, bytes, options);
  const { images, folder } = await imagesOf(source, model);
  const header: Header = { format: FORMAT, version: VERSION, settings, list: describeList(images), shard };
  const seen = new Seen();
  const writer = await ResultsWriter.open(options.out, header, seen);
  try {
    const device = await chooseDevice(options);
    try {
      const { batchSize } = options;
      const scoring = { signal, ...(batchSize !== undefined && { batchSize }) };
      await evaluateAll(ofShard(images, shard), { folder, model, device, settings, scoring }, writer, seen);
    } finally {
      model.release(device);
      device.destroy();
    }
  } finally {
    await writer.close();
  }
  printSummary(await summaryOf(options.out), options.json);
}

/** What the evaluation of each image needs. */
interface Job {
  readonly folder: string;
  readonly model: Model;
  readonly device: Device;
  readonly settings: EvaluationSettings;
  readonly scoring: ScoringOptions & { readonly signal: AbortSignal };
}

/** Evaluates what has no record yet. Nothing is kept of an image once its lines are written. */
async function evaluateAll(images: readonly ListedImage[], job: Job, writer: ResultsWriter, seen: Seen): Promise<void> {
  const { methods } = job.settings;
  const left = images.filter(({ name }) => methods.some((method) => !seen.has(name, method)));
  const failed = images.filter(({ name }) => seen.failed(name)).length;
  const again = failed > 0 ? `, ${failed} of them with an error: take their lines out of the results to try again` : '';
  if (left.length < images.length)
    progress(`${images.length - left.length} of ${images.length} images are done already${again}`);
  const report = rateReporter(left.length);
  for (const image of left) {
    job.scoring.signal.throwIfAborted();
    const begun = methods.some((method) => seen.has(image.name, method));
    const records = await recordsOf(image, job, !begun);
    writer.append(...records.filter((record) => isError(record) || !seen.has(image.name, record.method)));
    report(records.some(isError));
  }
}

/** A record for each method, or one of the error of an image that is at fault itself, unless `mayFail` says otherwise. */
async function recordsOf({ name, masks: files }: ListedImage, job: Job, mayFail: boolean): Promise<ImageRecord[]> {
  const { folder, model, device, settings, scoring } = job;
  try {
    const file = resolve(folder, name);
    const photo = await decodeImage(await read(file), file);
    const masks = await readMasks(files, folder, photo);
    const results = await evaluateImage(model, device, photo, settings, { ...scoring, masks });
    return settings.methods.map((method, m) => ({
      image: name,
      method,
      ranks: at(results, m).map((rank) => rankRecord(rank, at(model.labels, rank.index))),
    }));
  } catch (error) {
    if (!(error instanceof InputError) || scoring.signal.aborted || !mayFail) throw error;
    progress(error.message);
    return [{ image: name, error: error.message }];
  }
}

async function readMasks(files: ListedImage['masks'], folder: string, photo: RgbImage): Promise<Map<number, RgbImage>> {
  const masks = new Map<number, RgbImage>();
  for (const [index, name] of files) {
    const file = resolve(folder, name);
    const mask = await decodeImage(await read(file), file);
    if (mask.width !== photo.width || mask.height !== photo.height)
      throw new InputError(
        `${file}: is ${mask.width} x ${mask.height}, the image ${photo.width} x ${photo.height}; give a mask of its size`,
      );
    if (!mask.data.some(Boolean)) throw new InputError(`${file}: is all black; leave out classes that are not there`);
    masks.set(index, mask);
  }
  return masks;
}

const REPORT_EVERY_MS = 5000;

/** Tells the rate and the time that is left, every few seconds. */
function rateReporter(total: number): (failed: boolean) => void {
  const start = performance.now();
  let [done, failures, reported] = [0, 0, start];
  return (failed) => {
    done += 1;
    failures += Number(failed);
    const now = performance.now();
    if (now - reported < REPORT_EVERY_MS && done < total) return;
    reported = now;
    const rate = (1000 * done) / (now - start);
    const failure = failures > 0 ? `, ${failures} failed` : '';
    progress(
      `${done} of ${total} images, ${rate.toPrecision(3)} images/s, ${formatSeconds((total - done) / rate)} left${failure}`,
    );
  };
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function settingsOf(model: Model, bytes: Uint8Array, options: Options): EvaluationSettings {
  const { protocol, layer, method, topk, iouThreshold } = options;
  if (layer !== undefined) requireLayer(model.name, layer);
  if (new Set(method).size !== method.length)
    throw new UsageError(`--method ${method.join(',')} names one method twice`);
  for (const name of method) mapMethod(protocol, name);
  if (iouThreshold === 0) throw new UsageError('--iou-threshold 0 marks every pixel; use more than 0');
  if (topk > model.labels.length)
    throw new UsageError(`--topk ${topk} is out of range: this model has ${model.labels.length} classes`);
  const { deletionFill, insertionFill, ranking, steps, ties, score } = options;
  const changes = Object.entries({ deletionFill, insertionFill, ranking, steps, ties, score });
  return {
    protocol,
    model: model.name,
    weights: createHash('sha256').update(bytes).digest('hex'),
    layer: layer ?? (protocol === 'published' ? publishedLayer(model) : model.architecture.layer),
    methods: method,
    topK: topk,
    ...preprocessingOf(model, options),
    ...protocolChoices(protocol, Object.fromEntries(changes.filter(([, value]) => value !== undefined))),
    iouThreshold,
  };
}

/** The authors squash every image, and use the second weights of torchvision, before its preset. */
function preprocessingOf(
  model: Model,
  { protocol, size, preset }: Options,
): Pick<EvaluationSettings, 'squashFirst' | 'preprocessing'> {
  const imagenet = model.architecture.data === 'imagenet';
  const published = protocol === 'published';
  const usual = published && imagenet ? PRESETS.IMAGENET1K_V2 : defaultPreprocessing(model);
  const preprocessing: Preprocessing = preset ? PRESETS[preset] : size !== undefined ? squash(size) : usual;
  const { fit } = preprocessing;
  const squashed = 'squash' in fit ? fit.squash : fit.crop;
  return { squashFirst: published ? { size: squashed, filter: 'bicubic' } : null, preprocessing };
}

/** Sums up a results file, record by record. */
export async function summaryOf(file: string): Promise<Summary> {
  const results = await readResults(file);
  if (!results) throw new InputError(`${file}: has no results; evaluate first`);
  const summariser = new Summariser(results.header.settings);
  for await (const record of results.records) summariser.add(record);
  return summariser.summary();
}

export function printSummary(summary: Summary, json: true | undefined): void {
  print(json ? JSON.stringify(summary, undefined, 2) : formatSummary(summary));
}

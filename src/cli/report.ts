import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { InputError } from '../errors.ts';
import { decodeImage } from '../image/decode.ts';
import { encodePng } from '../image/encode.ts';
import { formatPercent } from '../image/figure.ts';
import { filledImage, type Rectangle, type RgbImage } from '../image/image.ts';
import { overlaySingle } from '../image/overlay.ts';
import { resize } from '../image/resample.ts';
import { type EvaluationSettings, prepare } from '../metrics/evaluation/protocol.ts';
import { isError, type RankRecord, type ResultRecord } from '../metrics/evaluation/records.ts';
import { reportPage, type ShownImage, STYLE, type Tile } from '../metrics/evaluation/report-page.ts';
import { at } from '../tensor/shape.ts';
import { summaryOf } from './evaluate.ts';
import { read, requireFolderOf, write } from './files.ts';
import { progress } from './options.ts';
import { readResults } from './results-file.ts';

interface Options {
  readonly out: string;
  readonly images?: string;
}

export function reportCommand(): Command {
  return new Command('report')
    .description('make a page of the results of an evaluation: tables, curves, best and worst images')
    .argument('<results>', 'a file that `fmgcam evaluate` or `fmgcam merge` has written')
    .option('--images <folder>', 'the folder that the image names are relative to; without it, maps are shown alone')
    .requiredOption('--out <file>', 'the page, as HTML in one file')
    .action(run);
}

async function run(file: string, { out, images }: Options): Promise<void> {
  await requireFolderOf(out);
  const summary = await summaryOf(file);
  const { best, worst } = await extremesOf(file, summary.settings);
  const show = (chosen: readonly Candidate[]) =>
    Promise.all(chosen.map((each) => shown(each, summary.settings, images)));
  const hash = createHash('sha256').update(STYLE).digest('base64');
  const page = reportPage({ summary, best: await show(best), worst: await show(worst) }, hash);
  await write(out, Buffer.from(page));
  progress(`${out}: ${summary.images} images`);
}

/** How many images are shown of the best and of the worst. */
const SHOWN = 3;

/** An image by how much better the first method does than the others. */
interface Candidate {
  readonly advantage: number;
  readonly records: readonly ResultRecord[];
}

/** The images with the largest and the smallest advantage of the first method. Holds only those. */
async function extremesOf(
  file: string,
  settings: EvaluationSettings,
): Promise<{ best: Candidate[]; worst: Candidate[] }> {
  const results = await readResults(file);
  const waiting = new Map<string, ResultRecord[]>();
  let best: Candidate[] = [];
  let worst: Candidate[] = [];
  let count = 0;
  for await (const record of results?.records ?? []) {
    if (isError(record)) continue;
    const records = [...(waiting.get(record.image) ?? []), record];
    if (records.length < settings.methods.length) {
      waiting.set(record.image, records);
      continue;
    }
    waiting.delete(record.image);
    count += 1;
    records.sort((a, b) => settings.methods.indexOf(a.method) - settings.methods.indexOf(b.method));
    const candidate = { advantage: advantageOf(records), records };
    best = [...best, candidate].sort((a, b) => b.advantage - a.advantage || byName(a, b)).slice(0, SHOWN);
    worst = [...worst, candidate].sort((a, b) => a.advantage - b.advantage || byName(a, b)).slice(0, SHOWN);
  }
  // Of few images, none is both.
  return { best: best.slice(0, Math.ceil(count / 2)), worst: worst.slice(0, Math.floor(count / 2)) };
}

function nameOf({ records }: Candidate): string {
  return at(records, 0).image;
}

function byName(a: Candidate, b: Candidate): number {
  return nameOf(a) < nameOf(b) ? -1 : 1;
}

/** IAUC - DAUC, averaged over the ranks: of the first method, minus the mean of the others. */
function advantageOf([first, ...others]: readonly ResultRecord[]): number {
  const quality = ({ ranks }: ResultRecord) =>
    ranks.reduce((sum, { iauc, dauc }) => sum + ((iauc ?? 0) - (dauc ?? 0)) / ranks.length, 0);
  if (!first) return 0;
  return quality(first) - others.reduce((sum, record) => sum + quality(record) / others.length, 0);
}

async function shown(candidate: Candidate, settings: EvaluationSettings, folder?: string): Promise<ShownImage> {
  const { advantage, records } = candidate;
  const ground = folder === undefined ? undefined : await groundOf(resolve(folder, nameOf(candidate)), settings);
  const methods = records.map(async ({ method, ranks }) => ({
    name: method,
    tiles: await Promise.all(ranks.map((rank) => tile(rank, ground))),
  }));
  return {
    name: nameOf(candidate),
    note: `IAUC − DAUC, mean over the ranks: ${advantage >= 0 ? '+' : '−'}${Math.abs(advantage).toFixed(4)} against the other methods`,
    methods: await Promise.all(methods),
  };
}

/** What maps are laid over, and where. */
interface Ground {
  readonly image: RgbImage;
  readonly region: Rectangle;
}

/** The width of a picture on the page. */
const TILE = 168;

/** The photograph as wide as a tile, and the part of it that the network saw. */
async function groundOf(file: string, settings: EvaluationSettings): Promise<Ground | undefined> {
  try {
    const photo = await decodeImage(await read(file), file);
    const scale = TILE / photo.width;
    const { x, y, width, height } = prepare(photo, settings).region;
    return {
      image: resize(photo, TILE, Math.max(1, Math.round(photo.height * scale)), 'bilinear'),
      region: { x: x * scale, y: y * scale, width: width * scale, height: height * scale },
    };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    progress(`${error.message}; its maps are shown alone`);
    return undefined;
  }
}

const GREY = [96, 96, 96] as const;

async function tile({ map, ...rank }: RankRecord, ground: Ground | undefined): Promise<Tile> {
  const { iauc, dauc, probability } = rank;
  const number = (value: number | null) => (value === null ? '-' : value.toFixed(3));
  const caption = `${rank.class} ${formatPercent(probability)}; IAUC ${number(iauc)}, DAUC ${number(dauc)}`;
  if (!map) return { source: null, caption };
  const { height, width, levels } = map;
  const data = Float32Array.from(levels, (level) => level / 255);
  const alone = () => filledImage(TILE, Math.max(1, Math.round((TILE * height) / width)), GREY);
  const { image, region } = ground ?? { image: alone(), region: undefined };
  const png = await encodePng(overlaySingle(image, { data, height, width }, region ? { region } : {}));
  return { source: `data:image/png;base64,${Buffer.from(png).toString('base64')}`, caption };
}

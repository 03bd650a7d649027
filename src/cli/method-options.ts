import { InvalidArgumentError, Option } from 'commander';
import type { Region } from '../cam/activation/index.ts';
import type { MethodOptions } from '../cam/methods.ts';
import { LRP_RULES } from '../cam/propagation/index.ts';
import { list, positive, wholeNumber } from './options.ts';

/* What single methods can be told. All flags but `--variants` have the names of the options, and are handed on as they are. */

const NAMES = ['patch', 'stride', 'samples', 'steps', 'region', 'seed', 'concepts', 'epsilon', 'rule'] as const;

export interface MethodFlags extends Pick<MethodOptions, (typeof NAMES)[number]> {
  readonly variants?: number;
}

export function methodFlags(): Option[] {
  const count = wholeNumber(1);
  return [
    new Option('--patch <pixels>', 'occlusion: side of the patch').argParser(count),
    new Option('--stride <pixels>', 'occlusion: from one position of the patch to the next').argParser(count),
    new Option('--samples <n>', 'rise: masks; smooth-grad, augmented-grad-cam: copies').argParser(count),
    new Option('--steps <n>', 'integrated-gradients: points; dff, augmented-grad-cam: rounds').argParser(count),
    new Option('--region <x,y,w,h>', 'seg-xres-cam: the part of the photograph to explain, in its pixels').argParser(
      region,
    ),
    new Option('--seed <n>', 'of everything random').argParser(wholeNumber(0)),
    new Option('--concepts <n>', 'dff: how many to look for').argParser(count),
    new Option('--epsilon <number>', 'lrp, grad-cam++: what is added to denominators').argParser(positive),
    new Option('--rule <name>', 'lrp: how layers share out relevance').choices(LRP_RULES),
    new Option('--variants <n>', 'methods of many passes: changed copies of an image in one pass').argParser(count),
  ];
}

/** Those that were given. */
export function methodOptionsOf(flags: MethodFlags): MethodOptions {
  const { variants } = flags;
  const given = NAMES.flatMap((name) => (flags[name] === undefined ? [] : [[name, flags[name]]]));
  return { ...Object.fromEntries(given), ...(variants !== undefined && { batch: variants }) };
}

function region(text: string): Region {
  const numbers = list(text).map(Number);
  const [x, y, width, height] = numbers;
  const usable = numbers.length === 4 && numbers.every(Number.isFinite);
  if (!usable || x === undefined || y === undefined || !width || !height || width < 0 || height < 0)
    throw new InvalidArgumentError('Use x,y,width,height in pixels of the photograph.');
  return { x, y, width, height };
}

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { messageOf, UsageError } from '../src/errors.ts';
import { MODEL_NAMES } from '../src/nn/models/registry.ts';
import { PROCESSORS, type Processor } from './protocol.ts';

/** What can be done, and which options it knows beside `--rounds`, `--json` and `--markdown`. */
export const COMMANDS = {
  peers: {
    about: 'forward passes of whole networks, ours and those of other runtimes',
    knows: ['model', 'device', 'threads'],
  },
  kernels: {
    about: "each of ResNet-50's convolutions on one thread, against the peak of multiply-adds",
    knows: ['device'],
  },
  cam: { about: 'FM-G-CAM against the forward pass alone, and against PyTorch', knows: ['device', 'threads'] },
  methods: { about: 'explanations by each method against forward passes, on one thread', knows: [] },
  metrics: { about: 'insertion and deletion, against the metrics library on PyTorch', knows: ['model', 'threads'] },
  cold: { about: 'the first explanation in a fresh process against later ones', knows: ['device', 'threads'] },
  memory: { about: 'peak memory against its floor; a thousand explanations', knows: [] },
  webgpu: {
    about: "each convolution with every tiling on this GPU, against the GPU's own ceilings",
    knows: ['model', 'in', 'browser', 'only'],
  },
  compare: {
    about: 'tables and charts of what `webgpu` wrote here and elsewhere: compare A.json B.json ...',
    knows: ['out'],
  },
} as const;
export type CommandName = keyof typeof COMMANDS;

/** The networks that all peers can run: torchvision's, with weights made by scripts/pytorch/networks.py. */
export const NETWORKS = ['resnet18', 'resnet34', 'resnet50', 'resnet152'] as const;

/** Other networks and defaults of some commands. */
const MODELS: Partial<Record<CommandName, { readonly known: readonly string[]; readonly usual: string }>> = {
  webgpu: { known: MODEL_NAMES, usual: 'resnet18,resnet50,densenet121' },
};

/** Where `webgpu` measures: most people's GPU is reached through a browser. */
export const PLACES = ['node', 'browser', 'deno'] as const;
export type Place = (typeof PLACES)[number];

export interface Options {
  readonly command: CommandName;
  readonly models: readonly string[];
  readonly device: Processor;
  /** Of the CPU; all that there are, where WebGPU leaves it something to do. */
  readonly threads: readonly number[];
  readonly rounds: number;
  readonly place: Place;
  /** The path of a Chromium to start; without it the page is opened by hand. */
  readonly browser?: string;
  /** Only layers whose name has this in it. */
  readonly only?: string;
  /** The file that gets everything as JSON. */
  readonly json?: string;
  /** Print the report as docs/performance.md has it. */
  readonly markdown: boolean;
  /** What `webgpu` wrote, for `compare`. */
  readonly files: readonly string[];
  /** The page that `compare` makes. */
  readonly out?: string;
}

export const USAGE = [
  'npm run bench -- <what> [--rounds N] [--json FILE] [--markdown]',
  '',
  ...Object.entries(COMMANDS).map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`),
  '',
  '  --rounds N       rounds of the interleaved run (10; cold: fresh processes)',
  `  --model A,B      peers, metrics: the networks, of ${NETWORKS.join(', ')} (resnet50,resnet18)`,
  '                   webgpu: any of ours (resnet18,resnet50,densenet121)',
  '  --device D       peers, kernels, cam, cold: cpu, or webgpu for the adapter that WebGPU prefers (cpu)',
  '  --threads A,B    on the CPU; peers, cam, metrics, cold: the numbers of threads (peers: 1,2; else 2)',
  '  --in PLACE       webgpu: node, browser (in a page that you open) or deno (node)',
  '  --browser PATH   webgpu --in browser: a Chromium that is started without a window, and opens the page',
  '  --only TEXT      webgpu: only layers with this in their name, such as "1x1 64"; for trying it out',
  '  --json FILE      writes every single time into a file; webgpu goes on from what is in it',
  '  --out FILE       compare: writes a page (compare.html)',
  '  --markdown       prints the report as docs/performance.md has it',
].join('\n');

/**
 * @param args what follows `npm run bench --`
 * @throws UsageError, in one line
 */
export function parseOptions(args: readonly string[]): Options {
  const { positionals, values } = parse(args);
  const [name, ...rest] = positionals;
  const command = commandNamed(name);
  if (command === 'compare' && rest.length === 0) throw new UsageError('compare: name the files to compare');
  if (command !== 'compare' && rest.length > 0)
    throw new UsageError(`"${rest.join(' ')}" is too much: one thing is measured at a time`);
  for (const option of ['model', 'device', 'threads', 'in', 'browser', 'only', 'out'] as const) {
    const known: readonly string[] = COMMANDS[command].knows;
    if (values[option] !== undefined && !known.includes(option)) {
      throw new UsageError(`${command} does not know --${option}`);
    }
  }
  const device = processor(values.device ?? 'cpu');
  if (device === 'webgpu' && values.threads !== undefined) throw new UsageError('--threads is for --device cpu');
  const place = placeNamed(values.in ?? 'node');
  if (values.browser !== undefined && place !== 'browser') throw new UsageError('--browser is for --in browser');
  for (const option of ['browser', 'only'] as const) {
    if (values[option] === '') throw new UsageError(`--${option} "" is empty`);
  }
  const { known, usual } = MODELS[command] ?? { known: NETWORKS, usual: 'resnet50,resnet18' };
  return {
    command,
    models: list(values.model ?? usual).map((name) => network(name, known)),
    device,
    threads:
      device === 'webgpu'
        ? [availableParallelism()]
        : list(values.threads ?? (command === 'peers' ? '1,2' : '2')).map((text) => count('--threads', text, 256)),
    rounds: count('--rounds', values.rounds ?? '10', 10_000),
    place,
    markdown: values.markdown,
    files: rest,
    ...(values.browser !== undefined && { browser: values.browser }),
    ...(values.only !== undefined && { only: values.only }),
    ...(values.json !== undefined && { json: values.json }),
    ...(values.out !== undefined && { out: values.out }),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        model: { type: 'string' },
        device: { type: 'string' },
        threads: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'string' },
        in: { type: 'string' },
        browser: { type: 'string' },
        only: { type: 'string' },
        out: { type: 'string' },
        markdown: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function commandNamed(name: string | undefined): CommandName {
  const isCommand = (text: string): text is CommandName => Object.hasOwn(COMMANDS, text);
  if (name !== undefined && isCommand(name)) return name;
  const what = name === undefined ? 'say what to measure' : `"${name}" cannot be measured`;
  throw new UsageError(`${what}; use ${Object.keys(COMMANDS).join(', ')}`);
}

function list(text: string): string[] {
  return [...new Set(text.split(',').map((item) => item.trim()))];
}

function network(name: string, known: readonly string[]): string {
  if (!known.includes(name)) throw new UsageError(`--model "${name}" is unknown; use ${known.join(', ')}`);
  return name;
}

function processor(name: string): Processor {
  const found = PROCESSORS.find((processor) => processor === name);
  if (!found) throw new UsageError(`--device "${name}" is unknown; use ${PROCESSORS.join(', ')}`);
  return found;
}

function placeNamed(name: string): Place {
  const found = PLACES.find((place) => place === name);
  if (!found) throw new UsageError(`--in "${name}" is unknown; use ${PLACES.join(', ')}`);
  return found;
}

function count(option: string, text: string, most: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > most) {
    throw new UsageError(`${option} "${text}" is no whole number from 1 to ${most}`);
  }
  return value;
}

import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Command, Option } from 'commander';
import { InputError, messageOf } from '../errors.ts';
import { type TunableCall, tunableCalls } from '../kernels/tuning/calls.ts';
import { emptyTable, fastest, productKey, type Trial, type TuningTable } from '../kernels/tuning/table.ts';
import { openTilings, tryTilings } from '../kernels/tuning/tune.ts';
import { readTable, userTableFile } from '../kernels/tuning/user-table.ts';
import { TILINGS } from '../kernels/webgpu/tiles.ts';
import { libraryVersion } from '../library-version.ts';
import { forwardCalls } from '../nn/forward-calls.ts';
import { architecture, MODEL_NAMES } from '../nn/models/registry.ts';
import { at } from '../tensor/shape.ts';
import { cancellable } from './cancel.ts';
import { write } from './files.ts';
import { print, progress, sizeOption, wholeNumber } from './options.ts';

interface Options {
  readonly model: string;
  readonly size?: number;
  readonly batch: number;
  readonly again: boolean;
}

/** What pictures of these data sets are usually cut to. */
const SIZES = { imagenet: 224, cifar: 32, scenes: 96 };

export function tuneCommand(): Command {
  return new Command('tune')
    .description('measure which WebGPU kernels are the fastest for a model on this adapter, and keep it')
    .addOption(new Option('--model <name>', 'the model').choices(MODEL_NAMES).default('resnet50'))
    .addOption(sizeOption())
    .addOption(new Option('--batch <n>', 'images at a time').argParser(wholeNumber(1, 1024)).default(1))
    .addOption(new Option('--again', 'measure again what is known').default(false))
    .action((options: Options) =>
      cancellable('what was measured is kept, and the same command goes on from there', (signal) =>
        tune(options, signal),
      ),
    );
}

async function tune(options: Options, signal: AbortSignal): Promise<void> {
  const { model, size = SIZES[architecture(model).data], batch, again } = options;
  const devices = await openTilings();
  try {
    const { adapterInfo, target } = at([...devices.values()], 0);
    const file = userTableFile(adapterInfo);
    let table = (await known(file, adapterInfo)) ?? emptyTable(adapterInfo, libraryVersion());
    const calls = tunableCalls(forwardCalls(model, [batch, 3, size, size]), target);
    progress(
      `${adapterInfo.description}: ${calls.length} products of ${model}, ${devices.size} tilings: ${[...devices.keys()].join(', ')}`,
    );
    await mkdir(dirname(file), { recursive: true });
    for (const [i, tunable] of calls.entries()) {
      const { call, products } = tunable;
      if (!again && products.every((product) => productKey(product) in table.trials)) continue;
      const trial = await tryTilings(call, devices);
      signal.throwIfAborted();
      const trials = Object.fromEntries(products.map((product) => [productKey(product), trial]));
      table = { ...table, trials: { ...table.trials, ...trials } };
      await write(file, new TextEncoder().encode(`${JSON.stringify(table, undefined, 2)}\n`));
      progress(`${i + 1}/${calls.length} ${products.map(productKey).join('; ')}: ${describe(trial)}`);
    }
    print(summary(table, calls));
    print(`kept in ${file}`);
  } finally {
    for (const device of devices.values()) device.destroy();
  }
}

/** The table so far. A damaged one is replaced. */
async function known(...[file, adapter]: Parameters<typeof readTable>): Promise<TuningTable | undefined> {
  try {
    return await readTable(file, adapter);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    progress(`${messageOf(error)}: it is replaced`);
    return undefined;
  }
}

function describe(trial: Trial): string {
  const best = fastest(trial);
  const times = Object.entries(trial.times)
    .sort(([, a], [, b]) => a - b)
    .map(([tiling, time]) => `${tiling} ${time.toPrecision(3)} ms`);
  const rejected = Object.entries(trial.rejected).map(([tiling, reason]) => `${tiling} rejected (${reason})`);
  return [...(best ? times : ['none is correct']), ...rejected].join(', ');
}

/** What tuning brings, over each product once: the best of each, against one tiling for all. */
function summary({ trials }: TuningTable, calls: readonly TunableCall[]): string {
  const found = calls.flatMap(({ products }) => trials[productKey(at(products, 0))] ?? []);
  const total = (milliseconds: (trial: Trial) => number | undefined) =>
    found.reduce((sum, trial) => sum + (milliseconds(trial) ?? Number.NaN), 0);
  const uniform = TILINGS.map((tiling) => [tiling, total(({ times }) => times[tiling])] as const)
    .filter(([, time]) => !Number.isNaN(time))
    .map(([tiling, time]) => `${tiling} ${time.toFixed(1)} ms`);
  const tuned = total((trial) => fastest(trial)?.milliseconds);
  return `each of the ${found.length} products once: ${tuned.toFixed(1)} ms as tuned; ${uniform.join(', ')}`;
}

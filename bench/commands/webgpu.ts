import { cancellable } from '../../src/cli/cancel.ts';
import { InputError } from '../../src/errors.ts';
import type * as UserTable from '../../src/kernels/tuning/user-table.ts';
import { settleWithNaps } from '../../src/kernels/webgpu/settle.ts';
import type * as LibraryVersion from '../../src/library-version.ts';
import { thisMachine } from '../machine.ts';
import type { Options } from '../options.ts';
import { ROOT } from '../paths.ts';
import { measureCeilings } from '../webgpu/ceilings.ts';
import { resultsSoFar, writeResults } from '../webgpu/files.ts';
import { openSubject } from '../webgpu/gpu.ts';
import { layersOf, measureLayer } from '../webgpu/measure.ts';
import { FORMAT, type LayerResult, type Results, VERSION } from '../webgpu/results.ts';
import { conditionsOf, layersTable } from '../webgpu/tables.ts';
import type { Findings } from './findings.ts';

/* Every variant of every convolution on the GPU of this machine. */

const MOST_ROUNDS_NOTE =
  'The floor is the time that the measured ceilings allow, for the operations of the definition or for reading and writing each number once, whichever is longer; an algorithm with fewer operations can go below it. A variant that takes long is timed in fewer rounds.';
const HARDWARE_NOTE =
  'This is a software driver, which computes on the CPU; its figures say nothing of a hardware GPU.';

export async function webgpu(options: Options): Promise<Findings> {
  const advice = options.json
    ? `what was measured is in ${options.json}, and the same command goes on from there`
    : 'nothing is kept without --json FILE';
  const results = await cancellable(advice, (signal) => measure(options, signal));
  return {
    conditions: conditionsOf(results, options.rounds),
    tables: [layersTable(results)],
    notes: [MOST_ROUNDS_NOTE, ...(results.adapter.software ? [HARDWARE_NOTE] : [])],
    measurements: undefined,
  };
}

/** Instances of the `webgpu` package in use: Dawn crashes if one is collected while its devices live. */
const instances = new Set<GPU>();

async function measure({ models, rounds, json }: Options, signal: AbortSignal): Promise<Results> {
  const before = resultsSoFar(json);
  const { create } = await import('webgpu');
  // Timestamps as the driver has them.
  const source = create(['disable-dawn-features=timestamp_quantization']);
  instances.add(source);
  const { findUserTable } = await importBuilt<typeof UserTable>('kernels/tuning/user-table.js');
  const { libraryVersion } = await importBuilt<typeof LibraryVersion>('library-version.js');
  const { gpu, about, settle, target, timer, devices } = await openSubject(source, settleWithNaps, findUserTable);
  try {
    const same = before?.adapter.description === about.description && before.library === libraryVersion();
    if (before && !same) {
      throw new InputError(
        `${json}: was measured on "${before.adapter.description}" by ${before.library}; name another file`,
      );
    }
    const { processor, cores, system, node, date } = thisMachine();
    progress(`${about.description || about.device}: ceilings`);
    let results: Results = before ?? {
      format: FORMAT,
      version: VERSION,
      date,
      library: libraryVersion(),
      host: { runtime: `Node ${node}`, system, processor, cores },
      adapter: about,
      ceilings: await measureCeilings(gpu, settle),
      layers: [],
    };
    const known = new Map(results.layers.map((layer) => [layer.name, layer]));
    const layers = layersOf(models, target);
    const measured: LayerResult[] = [];
    for (const [i, layer] of layers.entries()) {
      signal.throwIfAborted();
      const { name, networks } = layer;
      const found = known.get(name);
      if (!found) progress(`${i + 1}/${layers.length} ${name}`);
      measured.push(found ? { ...found, networks } : await measureLayer(layer, devices, { target, timer, rounds }));
      known.delete(name);
      results = { ...results, layers: [...measured, ...known.values()] };
      if (json !== undefined && !found) writeResults(json, results);
    }
    return results;
  } finally {
    gpu.destroy();
    await gpu.lost;
    instances.delete(source);
  }
}

/** A built module: these look for the package's own version beside themselves. */
function importBuilt<Module>(path: string): Promise<Module> {
  return import(new URL(`dist/${path}`, ROOT).href);
}

function progress(line: string): void {
  console.error(line);
}

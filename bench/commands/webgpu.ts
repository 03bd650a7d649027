import { cancellable } from '../../src/cli/cancel.ts';
import type * as UserTable from '../../src/kernels/tuning/user-table.ts';
import { settleWithNaps } from '../../src/kernels/webgpu/settle.ts';
import type * as LibraryVersion from '../../src/library-version.ts';
import { thisMachine } from '../machine.ts';
import type { Options } from '../options.ts';
import { ROOT } from '../paths.ts';
import { resultsSoFar, writeResults } from '../webgpu/files.ts';
import type { Progress } from '../webgpu/host.ts';
import { bundle } from '../webgpu/remote/bundle.ts';
import { ResultsServer } from '../webgpu/remote/server.ts';
import { type Stop, startBrowser, startDeno } from '../webgpu/remote/start.ts';
import type { Results } from '../webgpu/results.ts';
import { measureNetworks } from '../webgpu/run.ts';
import { conditionsOf, layersTable } from '../webgpu/tables.ts';
import type { Findings } from './findings.ts';

/* Every variant of every convolution on the GPU: here, in a browser, or in Deno. */

const MOST_ROUNDS_NOTE =
  'The floor is the time that the measured ceilings allow, for the operations of the definition or for reading and writing each number once, whichever is longer; an algorithm with fewer operations can go below it. A variant that takes long is timed in fewer rounds.';
const HARDWARE_NOTE =
  'This is a software driver, which computes on the CPU; its figures say nothing of a hardware GPU.';

export async function webgpu(options: Options): Promise<Findings> {
  const advice = options.json
    ? `what was measured is in ${options.json}, and the same command goes on from there`
    : 'nothing is kept without --json FILE';
  const results = await cancellable(advice, (signal) =>
    options.place === 'node' ? measureHere(options, signal) : measureElsewhere(options, signal),
  );
  return {
    conditions: conditionsOf(results, options.rounds),
    tables: [layersTable(results)],
    notes: [MOST_ROUNDS_NOTE, ...(results.adapter.software ? [HARDWARE_NOTE] : [])],
    measurements: undefined,
  };
}

const library = async () => (await importBuilt<typeof LibraryVersion>('library-version.js')).libraryVersion();

/** Instances of the `webgpu` package in use: Dawn crashes if one is collected while its devices live. */
const instances = new Set<GPU>();

async function measureHere({ json, ...task }: Options, signal: AbortSignal): Promise<Results> {
  const before = resultsSoFar(json);
  const { create } = await import('webgpu');
  // Timestamps as the driver has them.
  const source = create(['disable-dawn-features=timestamp_quantization']);
  instances.add(source);
  const { findUserTable } = await importBuilt<typeof UserTable>('kernels/tuning/user-table.js');
  const { processor, cores, system, node, date } = thisMachine();
  try {
    return await measureNetworks(task, {
      source,
      settle: settleWithNaps,
      host: { runtime: `Node ${node}`, system, processor, cores },
      date,
      library: await library(),
      before,
      findTable: findUserTable,
      save: keeper(json),
      report,
      signal,
    });
  } finally {
    instances.delete(source);
  }
}

/** In a page, or in Deno: they ask a server of this process what to do, and post what they find. */
async function measureElsewhere(options: Options, signal: AbortSignal): Promise<Results> {
  const { place, browser, models, rounds, only, json } = options;
  const before = resultsSoFar(json);
  const script = await bundle(place === 'deno' ? 'deno' : 'page');
  const { processor, cores, system, date } = thisMachine();
  // A page that is opened by hand may be on a telephone whose port is forwarded.
  const isHere = place === 'deno' || browser !== undefined;
  const server = await ResultsServer.open({
    script,
    job: {
      task: { models, rounds, ...(only !== undefined && { only }) },
      date,
      library: await library(),
      machine: isHere ? { system, processor, cores } : null,
    },
    before,
    save: keeper(json),
    report,
  });
  let stop: Stop = async () => {};
  const cancel = () => server.fail(signal.reason);
  signal.addEventListener('abort', cancel);
  try {
    if (place === 'deno') stop = await startDeno(script, server);
    else if (browser !== undefined) stop = await startBrowser(browser, server);
    else console.error(`open ${server.address} in the browser to be measured; this waits until it is done`);
    return await server.finished;
  } finally {
    signal.removeEventListener('abort', cancel);
    await stop();
    server.close();
  }
}

/** Writes all that was measured so far, if there is a file for it. */
function keeper(json: string | undefined): (results: Results) => void {
  return (results) => {
    if (json !== undefined) writeResults(json, results);
  };
}

/** A built module: these look for the package's own version beside themselves. */
function importBuilt<Module>(path: string): Promise<Module> {
  return import(new URL(`dist/${path}`, ROOT).href);
}

function report({ line }: Progress): void {
  console.error(line);
}

import { InputError, UsageError } from '../../src/errors.ts';
import type { ShaderTarget } from '../../src/kernels/webgpu/tiles.ts';
import { measureCeilings } from './ceilings.ts';
import { openSubject, type Subject } from './gpu.ts';
import type { Surroundings, Task } from './host.ts';
import { type Layer, layersOf, measureLayer } from './measure.ts';
import { type Adapter, adapterName, FORMAT, type LayerResult, type Results, VERSION } from './results.ts';

/* The whole benchmark, wherever it runs: the ceilings, then each layer in every variant. */

/** @throws UsageError when no layer is meant, InputError when earlier results are of something else, DeviceError */
export async function measureNetworks(task: Task, surroundings: Surroundings): Promise<Results> {
  const { source, settle, findTable, before } = surroundings;
  const subject = await openSubject(source, settle, findTable);
  try {
    if (before) requireSame(before, subject.about, surroundings);
    return await measureLayers(task, subject, surroundings);
  } finally {
    subject.gpu.destroy();
    await subject.gpu.lost;
  }
}

async function measureLayers(task: Task, subject: Subject, surroundings: Surroundings): Promise<Results> {
  const { gpu, about, settle, target, timer, devices } = subject;
  const { host, date, library, before, report, save, signal } = surroundings;
  const { rounds } = task;
  const layers = chosenLayers(task, target);
  const progress = (line: string, done: number) => report({ line, done, total: layers.length });
  const start = async (): Promise<Results> => {
    await progress(`${adapterName(about)}: ceilings`, 0);
    const ceilings = await measureCeilings(gpu, settle, rounds);
    return { format: FORMAT, version: VERSION, date, library, host, adapter: about, ceilings, layers: [] };
  };
  let results = before ?? (await start());
  if (!before) await save(results);
  const known = new Map(results.layers.map((layer) => [layer.name, layer]));
  const measured: LayerResult[] = [];
  for (const [i, layer] of layers.entries()) {
    signal?.throwIfAborted();
    const { name, networks } = layer;
    const found = known.get(name);
    if (!found) await progress(`${i + 1}/${layers.length} ${name}`, i);
    measured.push(found ? { ...found, networks } : await measureLayer(layer, devices, { target, timer, rounds }));
    known.delete(name);
    results = { ...results, layers: [...measured, ...known.values()] };
    if (!found) await save(results);
  }
  return results;
}

function chosenLayers({ models, only }: Task, target: ShaderTarget): Layer[] {
  const layers = layersOf(models, target);
  if (only === undefined) return layers;
  const chosen = layers.filter(({ name }) => name.includes(only));
  if (chosen.length > 0) return chosen;
  const examples = [layers[0], layers.at(-1)].map((layer) => `"${layer?.name}"`).join(' or ');
  throw new UsageError(`--only "${only}" is in the name of no layer of ${models.join(', ')}, like ${examples}`);
}

/** Results of two adapters, hosts or versions never mix. */
function requireSame(before: Results, adapter: Adapter, { host, library }: Surroundings): void {
  const of = (name: string, runtime: string, version: string) => `on "${name}" in ${runtime} by ${version}`;
  const then = of(adapterName(before.adapter), before.host.runtime, before.library);
  const now = of(adapterName(adapter), host.runtime, library);
  if (then !== now) throw new InputError(`the results so far were measured ${then}, and not ${now}; name another file`);
}

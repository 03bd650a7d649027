import { milliseconds, numeric, type Table, text } from '../report.ts';
import { type Summary, summarise } from '../statistics.ts';
import { adapterName, floorOf, type LayerResult, type Results, speedOf, type Variant } from './results.ts';

/* The results as a report: in a terminal, in Markdown, and on the page that `compare` makes. */

/** What it was measured on. */
export function conditionsOf({ host, adapter, ceilings, library }: Results, rounds?: number): string[] {
  const { limits } = adapter;
  const told = (name: string, value: string) => (value === '' ? [] : [`${name} ${value}`]);
  return [
    `fm-g-cam ${library}, ${host.runtime}`,
    [
      adapterName(adapter),
      ...told('vendor', adapter.vendor),
      ...told('architecture', adapter.architecture),
      ...told('device', adapter.device),
      ...told('driver', adapter.driver),
      ...told('backend', adapter.backend),
      adapter.software ? 'software, on the CPU' : 'hardware',
    ].join(', '),
    `features: ${adapter.features.join(', ')}`,
    `workgroups of ${limits.maxComputeInvocationsPerWorkgroup} threads and ${limits.maxComputeWorkgroupStorageSize} bytes, bindings of ${limits.maxStorageBufferBindingSize} bytes, buffers of ${limits.maxBufferSize}`,
    timestampsOf(adapter),
    `ceilings: ${ceilings.gflops.toFixed(1)} GFLOP/s of multiply-adds, ${ceilings.gigabytesPerSecond.toFixed(1)} GB/s copied`,
    `${ceilings.dispatchMicroseconds.toFixed(1)} µs for an empty dispatch, ${ceilings.recordMicroseconds.toFixed(1)} µs of them on the host; ${ceilings.readbackMicroseconds.toFixed(0)} µs to read 4 bytes back`,
    ...(rounds === undefined ? [] : [`up to ${rounds} rounds, interleaved`]),
  ];
}

/** Nanoseconds: no GPU counts in longer steps by itself. */
const LONGEST_TICK = 1000;

function timestampsOf({ timestampStep: step }: Results['adapter']): string {
  if (step === null) return 'no timestamps to rely on: times are by the clock of the host';
  if (step <= LONGEST_TICK) return `timestamps in steps of ${step} ns`;
  return `timestamps rounded to ${step} ns: runs are repeated between two of them, and the host's clock counts where that is not enough`;
}

/** Every variant of every layer; what the library would choose has a star. */
export function layersTable(results: Results): Table {
  return {
    title: 'Convolutions, each in every variant',
    columns: [
      text('layer'),
      text('variant'),
      numeric('error'),
      numeric('min, ms'),
      numeric('median, ms'),
      numeric('max/min'),
      text('clock'),
      numeric('host, ms'),
      numeric('GFLOP/s'),
      numeric('GB/s'),
      numeric('floor, ms'),
      numeric('of the ceiling'),
    ],
    rows: results.layers.flatMap((layer) => layer.variants.map((variant) => row(layer, variant, results))),
  };
}

function row(layer: LayerResult, variant: Variant, results: Results): string[] {
  const { name, error, rejected } = variant;
  const names = [layer.name, `${name}${name === layer.chosen ? ' *' : ''}`, error?.toExponential(1) ?? '–'];
  const speed = speedOf(layer, variant, results);
  if (!speed) return [...names, `rejected: ${rejected}`];
  const { min, median, spread }: Summary = summarise(speed.clock === 'gpu' ? variant.gpu : variant.wall);
  return [
    ...names,
    milliseconds(min),
    milliseconds(median),
    spread.toFixed(2),
    speed.clock,
    milliseconds(Math.min(...variant.wall)),
    speed.gflops.toFixed(1),
    speed.gigabytesPerSecond.toFixed(1),
    milliseconds(speed.floor),
    `${(100 * speed.ofCeiling).toFixed(0)} %`,
  ];
}

/** The variant of a layer that takes the least time. */
export function bestOf(layer: LayerResult, results: Results) {
  const timed = layer.variants.flatMap((variant) => {
    const speed = speedOf(layer, variant, results);
    return speed ? [{ name: variant.name, ...speed }] : [];
  });
  return timed.sort((a, b) => a.milliseconds - b.milliseconds)[0];
}

export interface NetworkTimes {
  readonly network: string;
  /** Milliseconds of all its convolutions: with the best variant of each, with the chosen one, and at the ceilings. */
  readonly best: number;
  readonly chosen: number;
  readonly floor: number;
}

/** The convolutions of each network, added up. */
export function networkTimes(results: Results): NetworkTimes[] {
  const { layers, ceilings } = results;
  const networks = [...new Set(layers.flatMap((layer) => Object.keys(layer.networks)))];
  return networks.map((network) => {
    const sum = (time: (layer: LayerResult) => number | undefined) =>
      layers.reduce((total, layer) => {
        const count = layer.networks[network] ?? 0;
        return count > 0 ? total + count * (time(layer) ?? Number.NaN) : total;
      }, 0);
    return {
      network,
      best: sum((layer) => bestOf(layer, results)?.milliseconds),
      chosen: sum((layer) => {
        const variant = layer.variants.find(({ name }) => name === layer.chosen);
        return variant && speedOf(layer, variant, results)?.milliseconds;
      }),
      floor: sum((layer) => floorOf(layer, ceilings)),
    };
  });
}

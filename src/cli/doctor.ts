import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { messageOf } from '../errors.ts';
import { chooseAlgorithm } from '../kernels/conv2d/algorithm.ts';
import type { GatherShape } from '../kernels/conv2d/geometry.ts';
import { gatherConvolutionWgsl } from '../kernels/conv2d/wgsl.ts';
import type { Pair } from '../kernels/core/pair.ts';
import { CpuDevice } from '../kernels/cpu/device.ts';
import { conv2d, type Device, openDevice, tensor } from '../kernels/index.ts';
import type { TuningTable } from '../kernels/tuning/table.ts';
import { readTable, userTableFile } from '../kernels/tuning/user-table.ts';
import { type AdapterSearch, findAdapters, openAdapter } from '../kernels/webgpu/adapter.ts';
import { isSoftware } from '../kernels/webgpu/facts.ts';
import { chooseTiling, type ProductSize, type ShaderTarget } from '../kernels/webgpu/tiles.ts';
import { relativeError } from '../relative-error.ts';
import { denseLayout } from '../tensor/layout.ts';
import { at } from '../tensor/shape.ts';
import { jsonOption, print } from './options.ts';

/** What one device turned out to be able to do. */
interface Finding {
  readonly device: 'cpu' | 'webgpu';
  readonly usable: boolean;
  /** Why it is not usable. */
  readonly reason?: string;
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

/** A 3x3 convolution of 64 channels at 56 x 56, a layer of every ResNet. */
const PROBE = { channels: 64, size: 56 };
/** Layers of a ResNet, whose work is shared out differently on some adapters: the first, and others at both ends. */
const LAYERS = [layer(3, 64, 7, 2, 224), layer(64, 64, 3, 1, 56), layer(512, 512, 3, 1, 7)];

/** A convolution over a square image, with padding that keeps its size apart from the stride. */
function layer(rows: number, columns: number, kernel: number, stride: number, size: number): GatherShape {
  const square = (extent: number): Pair => [extent, extent];
  return {
    ...{ transposed: false, batch: 1, groups: 1, rows, columns, kernel: square(kernel), stride: square(stride) },
    ...{ source: square(size), target: square(size / stride), padding: square((kernel - 1) / 2), dilation: square(1) },
  };
}
/** Compiled code gets faster after some. */
const RUNS = 8;
/** Relative L2; drivers may reassociate. */
const TOLERANCE = 1e-4;

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say which devices there are, what they can do, and why one is not usable')
    .addOption(jsonOption())
    .action(async ({ json }: { json?: true }) => {
      const cpu = new CpuDevice();
      // Before it is probed, and closed.
      const { kernels, threads, precision } = cpu;
      const expected = await probe(cpu);
      const findings = [cpuFinding({ kernels, threads, precision }, expected)];
      for (const search of await findAdapters()) findings.push(await adapterFinding(search, expected));
      const chosen = await openDevice('auto');
      chosen.device.destroy();
      const auto = { device: chosen.device.name, reason: chosen.reason };
      if (json) {
        print(
          JSON.stringify(
            { node: process.version, platform: `${process.platform} ${process.arch}`, devices: findings, auto },
            undefined,
            2,
          ),
        );
        return;
      }
      print(`Node ${process.version} on ${process.platform} ${process.arch}`);
      for (const { device, usable, reason, facts } of findings) {
        print(`${device}: ${usable ? 'usable' : `not usable: ${reason}`}`);
        for (const [name, value] of Object.entries(facts)) print(`  ${name}: ${value}`);
      }
      print(`--device auto takes ${auto.device}: ${auto.reason}`);
    });
}

interface Probe {
  readonly values: ArrayLike<number>;
  readonly gflops: number;
}

function cpuFinding(how: Pick<CpuDevice, 'kernels' | 'threads' | 'precision'>, { gflops }: Probe): Finding {
  const facts = {
    ...how,
    processors: availableParallelism(),
    'shared memory': typeof SharedArrayBuffer === 'function',
    'convolution, GFLOP/s': gflops,
  };
  return { device: 'cpu', usable: true, facts };
}

async function adapterFinding(search: AdapterSearch, expected: Probe): Promise<Finding> {
  if (!search.found) return { device: 'webgpu', usable: false, reason: search.reason, facts: {} };
  const { adapter } = search;
  const { info, features, limits } = adapter;
  const facts = {
    adapter: info.description || info.device,
    vendor: info.vendor,
    architecture: info.architecture,
    software: isSoftware(adapter),
    'subgroups (size)': features.has('subgroups') ? `${info.subgroupMinSize} to ${info.subgroupMaxSize}` : 'no',
    'shader-f16': features.has('shader-f16'),
    'timestamp-query': features.has('timestamp-query'),
    'largest buffer, MiB': Math.round(limits.maxBufferSize / 2 ** 20),
    'largest binding, MiB': Math.round(limits.maxStorageBufferBindingSize / 2 ** 20),
  };
  try {
    const { tuning, about } = await findTuning(info);
    const device = await openAdapter(search, { tuning });
    const { values, gflops } = await probe(device);
    const error = relativeError(values, expected.values);
    const measured = {
      ...facts,
      'constant weights': device.target.storage ?? 'f32',
      'shapes that a pipeline serves': device.target.shapes ?? 'any',
      tuning: about,
      ...tilesFacts(device.target),
      'convolution, GFLOP/s': gflops,
      'error against the CPU, relative L2': error.toExponential(1),
    };
    if (error <= TOLERANCE) return { device: 'webgpu', usable: true, facts: measured };
    const reason = 'its convolution differs from that of the CPU; update the driver';
    return { device: 'webgpu', usable: false, reason, facts: measured };
  } catch (error) {
    return { device: 'webgpu', usable: false, reason: messageOf(error), facts };
  }
}

/** What the user has measured on an adapter, in words as well. */
async function findTuning(adapter: GPUAdapterInfo): Promise<{ tuning: TuningTable | null; about: string }> {
  const file = userTableFile(adapter);
  try {
    const tuning = await readTable(file, adapter);
    if (!tuning) return { tuning: null, about: `none; "fmgcam tune" would make ${file}` };
    return { tuning, about: `${file}, ${Object.keys(tuning.trials).length} products` };
  } catch (error) {
    return { tuning: null, about: `ignored: ${messageOf(error)}` };
  }
}

/** How convolutions are computed, how they share their work out to threads, and why. */
function tilesFacts(target: ShaderTarget): Finding['facts'] {
  const facts = LAYERS.flatMap((conv) => {
    const { rows, columns, kernel, source } = conv;
    const what = `${kernel.join('x')}, ${rows === columns ? rows : `${rows} to ${columns}`} channels at ${source.join(' x ')}`;
    const { algorithm, reason } = chooseAlgorithm(target, conv);
    const { tiling, reason: why } = chooseTiling(target, productOf(conv, target));
    return [
      [`algorithm for ${what}`, `${algorithm} (${reason})`],
      [`tiles for ${what}`, `${tiling} (${why})`],
    ];
  });
  return Object.fromEntries(facts);
}

/** The matrix product that a convolution comes down to. */
function productOf(conv: GatherShape, target: ShaderTarget): ProductSize {
  const products: ProductSize[] = [];
  const measured = (size: ProductSize) => {
    products.push(size);
    return undefined;
  };
  const { rows, columns, kernel } = conv;
  const weight = { ...denseLayout([columns, rows, ...kernel]), dtype: 'float32' } as const;
  const nothing = { bias: false, residual: false, relu: false };
  gatherConvolutionWgsl(conv, weight, nothing, { ...target, tiling: undefined, measured });
  return at(products, 0);
}

/** Runs one convolution some times on a device, and closes it: the values, and the speed of the fastest run. */
async function probe(device: Device): Promise<Probe> {
  try {
    const data = Float32Array.from({ length: PROBE.channels * PROBE.size ** 2 }, (_, i) => Math.sin(i));
    const values = await convolve(device, data);
    let seconds = Number.POSITIVE_INFINITY;
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      await convolve(device, data);
      seconds = Math.min(seconds, (performance.now() - start) / 1000);
    }
    const flops = 2 * 9 * PROBE.channels ** 2 * PROBE.size ** 2;
    return { values, gflops: Number((flops / seconds / 1e9).toFixed(1)) };
  } finally {
    device.destroy();
  }
}

async function convolve(device: Device, data: Float32Array): Promise<ArrayLike<number>> {
  const { channels, size } = PROBE;
  using x = tensor(device, data, [1, channels, size, size]);
  using weight = tensor(device, data.subarray(0, channels * channels * 9), [channels, channels, 3, 3]);
  using y = conv2d(x, weight, { padding: 1 });
  return y.data();
}

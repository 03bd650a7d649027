import { messageOf } from '../../src/errors.ts';
import { ALGORITHMS, type Algorithm } from '../../src/kernels/conv2d/geometry.ts';
import { type Call, type TunableCall, tunableCalls } from '../../src/kernels/tuning/calls.ts';
import { oracleResult, TOLERANCE } from '../../src/kernels/tuning/oracle.ts';
import { PreparedCall, randomInputs } from '../../src/kernels/tuning/prepared-call.ts';
import { productKey } from '../../src/kernels/tuning/table.ts';
import type { WebGpuDevice } from '../../src/kernels/webgpu/device.ts';
import { chooseTiling, type ShaderTarget } from '../../src/kernels/webgpu/tiles.ts';
import { forwardCalls } from '../../src/nn/forward-calls.ts';
import { relativeError } from '../../src/relative-error.ts';
import { at, sizeOf } from '../../src/tensor/shape.ts';
import { type LayerResult, STEPS, type Variant } from './results.ts';
import type { PassTimer } from './timer.ts';

/* The convolutions of networks with every tiling; in Node, in Deno and in browsers. */

const INPUT = [1, 3, 224, 224] as const;
/** Milliseconds of work that the host waits for at once. */
const LONG_ENOUGH = 20;
const MOST_RUNS = 1000;
/** More runs that are tried at the least, where so many were too short. */
const GROWTH = 1.5;
/** Milliseconds after which a slow variant has had its say, and the rounds that it gets in any case. */
const BUDGET = 1000;
const LEAST_ROUNDS = 3;
/** What a weight in half precision is off by at the most, relative to itself. */
const HALF_ROUNDING = 2 ** -11;

export interface Layer extends TunableCall {
  readonly name: string;
  readonly networks: Readonly<Record<string, number>>;
}

/** The distinct convolutions of networks, in their order. */
export function layersOf(networks: readonly string[], target: ShaderTarget): Layer[] {
  const layers = new Map<string, Layer>();
  for (const network of networks) {
    const calls = forwardCalls(network, INPUT);
    for (const tunable of tunableCalls(calls, { ...target, algorithm: 'direct' })) {
      const key = keyOf(tunable.products);
      const count = calls.filter((call) => keyOf(productsBy('direct', call, target)) === key).length;
      const layer = layers.get(key) ?? { ...tunable, name: nameOf(tunable), networks: {} };
      layers.set(key, { ...layer, networks: { ...layer.networks, [network]: count } });
    }
  }
  return [...layers.values()];
}

const productsBy = (algorithm: Algorithm, call: Call, target: ShaderTarget) => call.products({ ...target, algorithm });
const keyOf = (products: TunableCall['products']) => products.map(productKey).join();

/** `3x3 64→64 at 56² to 28²`, for calls whose second input is a weight. */
function nameOf({ call: { inputs, outputs } }: TunableCall): string {
  const [, channels, height, width] = at(inputs, 0).shape;
  const [out, , kernelHeight, kernelWidth] = at(inputs, 1).shape;
  const pixels = sizeOf(at(outputs, 0).slice(2));
  return `${kernelHeight}x${kernelWidth} ${channels}→${out}, ${height}x${width} to ${pixels} pixels`;
}

/**
 * One layer in every variant: first what it computes, then, in turn, how long it takes.
 * @param devices one for each variant, all of one GPU
 * @param timer its timestamps, where it has them
 */
export async function measureLayer(
  { name, networks, call }: Layer,
  devices: ReadonlyMap<string, WebGpuDevice>,
  { target, timer, rounds }: { target: ShaderTarget; timer: PassTimer | undefined; rounds: number },
): Promise<LayerResult> {
  const values = randomInputs(call);
  const expected = await oracleResult(call, values);
  const direct = productsBy('direct', call, target);
  /** Those that are not the plain sum. */
  const algorithms = ALGORITHMS.filter((name) => keyOf(productsBy(name, call, target)) !== keyOf(direct));
  const others = new Set<string>(ALGORITHMS.filter((name) => !algorithms.includes(name)));
  const contestants: Contestant[] = [];
  try {
    for (const [variant, device] of devices) {
      if (others.has(variant)) continue;
      contestants.push(await prepare(variant, device, { call, values, expected, timer }));
    }
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants) await timeRound(contestant, round, timer);
    }
  } finally {
    for (const { run } of contestants) run?.[Symbol.dispose]();
  }
  const output = call.outputs.reduce((sum, shape) => sum + sizeOf(shape), 0);
  const products = call.products(target);
  const algorithm = algorithms.find((name) => keyOf(productsBy(name, call, target)) === keyOf(products));
  const { tiling, reason } = chooseTiling(target, at(products, 0));
  return {
    name,
    networks,
    operations: direct.reduce((sum, p) => sum + 2 * p.groups * p.channels * p.pixels * p.depth, 0),
    bytes: 4 * call.inputs.reduce((sum, { shape }) => sum + sizeOf(shape), output),
    chosen: algorithm ?? tiling,
    reason,
    variants: contestants.map(({ run, runs, ...variant }) => variant),
  };
}

interface Contestant extends Variant {
  readonly run: PreparedCall | undefined;
  /** Runs for each waiting of the host. */
  readonly runs: number;
  readonly wall: number[];
  readonly gpu: number[];
}

interface Trial {
  readonly call: Call;
  readonly values: readonly Float32Array[];
  readonly expected: ArrayLike<number>;
  readonly timer: PassTimer | undefined;
}

async function prepare(
  name: string,
  device: WebGpuDevice,
  { call, values, expected, timer }: Trial,
): Promise<Contestant> {
  const untimed = { name, run: undefined, runs: 0, wall: [], gpu: [] };
  let run: PreparedCall | undefined;
  try {
    run = new PreparedCall(device, call, values);
    const error = relativeError(await run.result(), expected);
    const tolerance = TOLERANCE + (device.target.storage === 'f16' ? HALF_ROUNDING : 0);
    if (error <= tolerance) return { ...untimed, run, error, rejected: null, ...(await chooseRuns(run, timer)) };
    run[Symbol.dispose]();
    return { ...untimed, error, rejected: `its error of ${error.toExponential(1)} is above ${tolerance}` };
  } catch (error) {
    run?.[Symbol.dispose]();
    return { ...untimed, error: null, rejected: messageOf(error) };
  }
}

/** As many runs for each waiting that neither the waiting nor the steps of the timestamps matter. */
export async function chooseRuns(
  run: Pick<PreparedCall, 'time'>,
  timer: Pick<PassTimer, 'step' | 'take'> | undefined,
): Promise<Pick<Contestant, 'runs' | 'resolution'>> {
  await run.time(1);
  let runs = 1;
  for (;;) {
    await timer?.take();
    const wall = runs * (await run.time(runs));
    const gpu = await timer?.take();
    const uncertain = timer && gpu ? (timer.step * gpu.passes) / 1e6 : 0;
    const factor = Math.max(LONG_ENOUGH / wall, gpu ? (STEPS * uncertain) / gpu.milliseconds : 0);
    if (factor < 1 || runs === MOST_RUNS) return { runs, ...(uncertain > 0 && { resolution: uncertain / runs }) };
    runs = Math.min(MOST_RUNS, Math.ceil(runs * Math.max(GROWTH, factor)));
  }
}

async function timeRound({ run, runs, wall, gpu }: Contestant, round: number, timer?: PassTimer): Promise<void> {
  const spent = runs * wall.reduce((sum, time) => sum + time, 0);
  if (!run || (round >= LEAST_ROUNDS && spent > BUDGET)) return;
  await timer?.take();
  wall.push(await run.time(runs));
  if (timer) gpu.push((await timer.take()).milliseconds / runs);
}

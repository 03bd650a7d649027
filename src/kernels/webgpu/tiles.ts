import { DeviceError, UsageError } from '../../errors.ts';
import type { Algorithm } from '../conv2d/geometry.ts';
import type { DeviceFacts } from './facts.ts';
import { WORKGROUP } from './program.ts';

/** How a workgroup computes a tile of a matrix product: channels down, pixels (or rows) across. */
export interface Tiles {
  /** What the threads of a tile share: nothing, weights within a subgroup, or all that they read. */
  readonly sharing: 'register' | 'subgroup' | 'workgroup';
  /** Sums of a thread. Channels are a multiple of 4, and so are rows in place of pixels. */
  readonly channels: number;
  readonly pixels: number;
  /** Threads of a tile. */
  readonly down: number;
  readonly across: number;
  /** Tiles of a workgroup; of more than one, none shares anything with another. */
  readonly together: number;
  /** Threads of a subgroup that each load a different vector; they divide the vectors of a thread's channels. */
  readonly lanes: number;
  /** Vectors of each channel and pixel that lie in workgroup memory at a time, or so many times four numbers. */
  readonly depth: number;
}

/** The sums of a matrix product. */
export interface ProductSize {
  readonly groups: number;
  /** Of each group. */
  readonly channels: number;
  readonly pixels: number;
  /** Products in each sum. */
  readonly depth: number;
  /** Whether it is the gradient of a weight: with the rows of all taps in place of pixels, and sums over the pixels. */
  readonly weightGradient?: boolean;
}

/** Tiles that can be asked for by name; those in workgroup memory by their channels and pixels. */
export const TILINGS = ['register', 'subgroup', 'workgroup-32x32', 'workgroup-64x64', 'workgroup-128x64'] as const;
export type Tiling = (typeof TILINGS)[number];

/**
 * What a pipeline serves: `any` shape, which is a uniform, or `one` shape, which is a constant of its code. Then the compiler
 * can unroll loops and fold addresses, and has as much more to do as a network has shapes.
 */
export const SHAPES = ['any', 'one'] as const;
export type Shapes = (typeof SHAPES)[number];

/**
 * How weights that do not change lie in the memory of the device. Half precision is half as much to read, and each weight is
 * off by up to 1/2048 of itself; sums are in f32 all the same.
 */
export const WEIGHT_STORAGES = ['f32', 'f16'] as const;
export type WeightStorage = (typeof WEIGHT_STORAGES)[number];

/** A tiling, and why it is this one. */
export interface Choice {
  readonly tiling: Tiling;
  readonly reason: string;
}

/** What shaders are written for. */
export interface ShaderTarget extends DeviceFacts {
  /** The tiling of every product, where one is asked for. */
  readonly tiling?: Tiling | undefined;
  /** Into how many parts the depth of every product is split that can be split so, where that is asked for. */
  readonly splits?: number | undefined;
  /** How every convolution is computed that can be computed so, where that is asked for. */
  readonly algorithm?: Algorithm | undefined;
  /** What a pipeline serves, where that is asked for: any shape otherwise. */
  readonly shapes?: Shapes | undefined;
  /** How constant weights are kept, where that is asked for: f32 otherwise. */
  readonly storage?: WeightStorage | undefined;
  /** What was measured to be the fastest for a product, if that was measured. */
  readonly measured?: ((size: ProductSize) => Choice | undefined) | undefined;
  /** Tilings that were measured to compute something else on this adapter. */
  readonly rejected?: ReadonlySet<Tiling> | undefined;
}

/** From the smallest to the largest. */
const IN_WORKGROUP_MEMORY = ['workgroup-32x32', 'workgroup-64x64', 'workgroup-128x64'] as const;

/** Workgroups that keep a GPU busy; WebGPU does not tell how many it runs at once. */
const ENOUGH_WORKGROUPS = 128;

/** Fewer would fill less than half of the smallest tile in workgroup memory, and of a weight's gradient in `subgroup`. */
const FEW_CHANNELS = 16;

/** Threads of a tile on a CPU, whose vectors have 4 to 16 of them. More leave pixels over in small images. */
const SOFTWARE_THREADS = 8;
const HARDWARE_THREADS = 64;

/** Tiles of a workgroup on a CPU, where each is a subgroup: to start a workgroup takes as long as some of its products. */
const SOFTWARE_TILES = 4;

/** Whether it is a CPU whose vectors have four numbers, as SwiftShader's. */
export function isNarrow({ software, subgroups }: DeviceFacts): boolean {
  return software && subgroups?.max === 4;
}

/**
 * Which of two numbers of pixels a thread should have: a tile takes about as long as one pixel more than it has. The tiles of 7 and
 * 14 divide images of 14 x 14, 28 x 28 ...
 */
function choosePixels(few: number, many: number, across: number, pixels: number): number {
  const time = (each: number) => Math.ceil(pixels / (across * each)) * (each + 1);
  return time(few) < time(many) ? few : many;
}

function subgroupTiles(facts: DeviceFacts, pixels: number): Tiles {
  const { min, max } = facts.subgroups ?? { min: 1, max: 1 };
  // Loads are most of the work with vectors of four numbers, and large tiles have fewer.
  if (isNarrow(facts)) return subgroupTile(32, choosePixels(7, 14, max, pixels), max, 1, max);
  // Every subgroup is full, and none too small for the lanes that others read.
  const across = Math.max(facts.software ? SOFTWARE_THREADS : HARDWARE_THREADS, max);
  const channels = 16;
  const lanes = Math.min(channels, min);
  if (!facts.software) return subgroupTile(channels, 4, across, 1, lanes);
  // Threads fill subgroups in order on a CPU, so that each tile is one.
  const together = min === across ? SOFTWARE_TILES : 1;
  return subgroupTile(channels, choosePixels(4, 7, across, pixels), across, together, lanes);
}

/** Named fields: this runs for each call, and to spread objects takes a microsecond. */
function subgroupTile(channels: number, pixels: number, across: number, together: number, lanes: number): Tiles {
  return { sharing: 'subgroup', channels, pixels, down: 1, across, together, lanes, depth: 1 };
}

/**
 * The tiles of a name, as large as the adapter wants them.
 * @param size of the product that they are for; without it, the smallest
 */
export function tilesOf(tiling: Tiling, facts: DeviceFacts, size?: ProductSize): Tiles {
  const shared = { sharing: 'workgroup', together: 1, lanes: 1, depth: 4 } as const;
  switch (tiling) {
    case 'register': {
      const across = facts.software ? SOFTWARE_THREADS : HARDWARE_THREADS;
      return { sharing: 'register', channels: 8, pixels: 4, down: 1, across, together: 1, lanes: 1, depth: 1 };
    }
    case 'subgroup':
      return subgroupTiles(facts, size?.pixels ?? 1);
    case 'workgroup-32x32':
      return { ...shared, channels: 4, pixels: 4, down: 8, across: 8 };
    case 'workgroup-64x64':
      return { ...shared, channels: 8, pixels: 4, down: 8, across: 16 };
    case 'workgroup-128x64':
      return { ...shared, channels: 8, pixels: 8, down: 16, across: 8 };
  }
}

/**
 * The tiles of the gradient of a weight, whose pixels are rows, see `weightGradientWgsl`: what is read are vectors of four channels
 * and of four rows. In `register`, each thread has a tile of its own.
 */
export function weightGradientTilesOf(tiling: Tiling, facts: DeviceFacts): Tiles {
  const tiles = tilesOf(tiling, facts);
  switch (tiling) {
    case 'register': {
      // The larger tile reads half as much for each product; a GPU needs the threads that it does without.
      const side = facts.software ? 8 : 4;
      return { ...tiles, channels: side, pixels: side, down: 1, across: 1, together: WORKGROUP };
    }
    case 'subgroup': {
      // A thread loads one vector of channels, and has the others from its subgroup. Tiles are few and deep.
      const lanes = Math.min(8, facts.subgroups?.min ?? 1);
      return { ...tiles, channels: 4 * lanes, pixels: 8, together: 1, lanes };
    }
    default:
      return tiles;
  }
}

/** Why an adapter cannot run a tiling, if it cannot. */
export function obstacle(tiling: Tiling, facts: ShaderTarget): string | undefined {
  if (facts.rejected?.has(tiling)) return 'it failed them when fmgcam tune tried';
  const { sharing, channels, pixels, down, across, together, depth } = tilesOf(tiling, facts);
  if (sharing === 'subgroup' && !facts.subgroups) return 'it has no subgroups';
  const threads = together * down * across;
  if (threads > facts.workgroupThreads)
    return `${threads} threads are more than the ${facts.workgroupThreads} it can run`;
  const bytes = sharing === 'workgroup' ? 16 * depth * (down * channels + across * pixels) : 0;
  if (bytes > facts.workgroupBytes) return `it has ${facts.workgroupBytes} of ${bytes} bytes of workgroup memory`;
  return undefined;
}

/**
 * @throws UsageError when there is no tiling of this name, DeviceError when the device cannot run it
 */
export function requireTiling(name: string, facts: ShaderTarget): Tiling {
  const tiling = TILINGS.find((known) => known === name);
  if (!tiling) throw new UsageError(`tiles "${name}" are unknown; use ${TILINGS.join(', ')}`);
  const problem = obstacle(tiling, facts);
  if (!problem) return tiling;
  const others = TILINGS.filter((other) => !obstacle(other, facts));
  throw new DeviceError(`this adapter cannot run the tiles ${tiling}: ${problem}; use ${others.join(', ')}`);
}

/**
 * The tiling for a product: the one that is asked for, else the one that was measured to be the fastest, else the one that
 * what is known of such adapters speaks for.
 * @throws DeviceError where no tiling computes what it should
 */
export function chooseTiling(target: ShaderTarget, size: ProductSize): Choice {
  const { tiling } = target;
  if (tiling) return { tiling, reason: 'asked for' };
  const likely = [target.measured?.(size), likelyTiling(target, size)];
  const choice = likely.find((choice) => choice && !obstacle(choice.tiling, target));
  if (choice) return choice;
  const left = TILINGS.find((name) => !obstacle(name, target));
  if (left) return { tiling: left, reason: 'those that suit such adapters better failed when fmgcam tune tried them' };
  throw new DeviceError('no convolution is right on this adapter, says fmgcam tune: update the driver, or use the cpu');
}

/**
 * A CPU that plays GPU is slow at barriers and at workgroup memory, and fast at reading what it just read; a GPU waits for
 * memory, and wants many workgroups to do it in turns.
 */
function likelyTiling(target: ShaderTarget, size: ProductSize): Choice {
  const { software, subgroups } = target;
  if (software && size.weightGradient && size.channels < FEW_CHANNELS) {
    return { tiling: 'register', reason: 'a software driver: groups of few channels' };
  }
  if (software && !obstacle('subgroup', target)) {
    return { tiling: 'subgroup', reason: `a software driver with subgroups of ${subgroups?.min}` };
  }
  if (software) return { tiling: 'register', reason: 'a software driver without subgroups' };
  if (size.channels < FEW_CHANNELS) return { tiling: 'register', reason: 'a hardware GPU: groups of few channels' };
  const [smallest, ...larger] = IN_WORKGROUP_MEMORY.filter((name) => !obstacle(name, target));
  if (!smallest) return { tiling: 'register', reason: 'a hardware GPU with little workgroup memory' };
  const large = larger.findLast((name) => {
    const tiles = tilesOf(name, target);
    return tiles.down * tiles.channels <= size.channels && countTiles(tiles, size).tiles >= ENOUGH_WORKGROUPS;
  });
  if (!large) return { tiling: smallest, reason: 'a hardware GPU: larger tiles would be too few or too empty' };
  return { tiling: large, reason: `a hardware GPU: the largest tiles of which there are ${ENOUGH_WORKGROUPS}` };
}

/** Fewer products in each sum of a part are not worth a second pass over its sums. */
const LEAST_DEPTH = 256;

/**
 * Into how many parts the depth of a product is split, so that there are enough workgroups where its tiles are few and deep;
 * the sums of the parts are added up in a second pass. A CPU has no use for so many.
 * @param workgroups without a split
 * @param depth products in each sum
 */
export function chooseSplits({ software, splits }: ShaderTarget, workgroups: number, depth: number): number {
  if (splits !== undefined) return splits;
  if (software) return 1;
  const wanted = Math.floor(ENOUGH_WORKGROUPS / workgroups);
  return Math.max(1, Math.min(wanted, Math.floor(depth / LEAST_DEPTH)));
}

/** How many tiles a product has, and how many of them lie side by side. */
export function countTiles({ channels, pixels, down, across }: Tiles, size: ProductSize) {
  const channelTiles = Math.ceil(size.channels / (down * channels));
  const pixelTiles = Math.ceil(size.pixels / (across * pixels));
  return { channelTiles, pixelTiles, tiles: size.groups * channelTiles * pixelTiles };
}

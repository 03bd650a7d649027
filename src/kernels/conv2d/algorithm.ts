import { isNarrow, type ShaderTarget } from '../webgpu/tiles.ts';
import type { Algorithm, GatherShape } from './geometry.ts';
import { hasPatches } from './patches.wgsl.ts';
import { isWinograd } from './winograd.ts';
import { winogradTiles } from './winograd.wgsl.ts';

/** Fewer tiles would leave most threads of the products without pixels, 28 of them or 32; with fewer channels the products are the smaller part. */
const FEW_TILES = { narrow: 16, wide: 32 };
const FEW_CHANNELS = 64;

/** Fewer would fill less than half of a tile. */
const FEW_COLUMNS = 16;

/** An algorithm, and why it is this one. */
export interface AlgorithmChoice {
  readonly algorithm: Algorithm;
  readonly reason: string;
}

/** How a convolution is computed on WebGPU: as asked for where that can be had, and else by what was measured to be faster. */
export function chooseAlgorithm(target: ShaderTarget, conv: GatherShape): AlgorithmChoice {
  if (hasPatches(conv)) return choosePatches(target, conv);
  if (isWinograd(conv)) return chooseWinograd(target, conv);
  return { algorithm: 'direct', reason: 'it is no 3x3 of stride 1 with channels in fours, and has more than three' };
}

/** On lavapipe and SwiftShader it takes 0.5 and 0.3 of the time for the first layer of a ResNet. No hardware GPU was measured. */
function choosePatches({ software, algorithm }: ShaderTarget, { rows, columns }: GatherShape): AlgorithmChoice {
  if (algorithm) return { algorithm: algorithm === 'patches' ? algorithm : 'direct', reason: 'asked for' };
  if (!software) return { algorithm: 'direct', reason: 'a hardware GPU, where patches were not measured' };
  const reason = `a software driver: sums over ${rows} channels`;
  return { algorithm: columns >= FEW_COLUMNS ? 'patches' : 'direct', reason };
}

/** On lavapipe and SwiftShader minimal filtering takes 0.5 to 0.8 of the time above the limits. No hardware GPU was measured. */
function chooseWinograd(target: ShaderTarget, conv: GatherShape): AlgorithmChoice {
  const { software, algorithm } = target;
  if (algorithm) return { algorithm: algorithm === 'winograd' ? algorithm : 'direct', reason: 'asked for' };
  if (!software) return { algorithm: 'direct', reason: 'a hardware GPU, where winograd was not measured' };
  const tiles = winogradTiles(conv);
  const enough = isNarrow(target) ? FEW_TILES.narrow : FEW_TILES.wide;
  const wins = tiles >= enough && Math.min(conv.rows, conv.columns) >= FEW_CHANNELS;
  const reason = `a software driver: ${tiles} tiles of 4 x 4 pixels, where ${enough} and ${FEW_CHANNELS} channels are enough`;
  return { algorithm: wins ? 'winograd' : 'direct', reason };
}

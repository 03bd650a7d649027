import { UsageError } from '../../errors.ts';
import { deviceOf, mul, scalar } from '../../kernels/index.ts';
import { uniform } from '../../random.ts';
import { at } from '../../tensor/shape.ts';
import type { Method } from '../method.ts';
import { requireCount } from '../options.ts';
import { inScopeOfInput } from '../passes.ts';
import { requireScore, type Score, sumOfMasks } from './masked.ts';

export interface RiseOptions {
  /** Random masks; 1000 when left out. The paper takes 4000 for VGG-16 and 8000 for ResNet-50. */
  readonly samples?: number;
  /** Cells along each side of the grid that the masks are made from; 7 when left out. */
  readonly cells?: number;
  /** How probable it is that a cell is kept; 0.5 when left out. */
  readonly probability?: number;
  /** Of the masks. */
  readonly seed?: number;
  /** `probability` when left out, as in the paper. */
  readonly score?: Score;
  /** Masked images in one pass of the network; as many as there is room for when left out. */
  readonly batch?: number;
}

/**
 * RISE (Petsiuk, Das and Saenko 2018, arXiv:1806.07421, equation 6): the mean of random masks, each weighted by the score of
 * the image that it leaves, M[k] = 1/(E[m] samples) sum over masks m of p[k](x m) m.
 *
 * A mask is a grid of cells x cells values, each 1 with a given probability, else 0; it is brought to (cells + 1) cells of
 * ceil(H / cells) x ceil(W / cells) pixels by bilinear interpolation, and cut to the image at a random offset below one
 * cell. E[m] is the probability. What is masked is 0, the mean colour. The map has no sign and no zero point: an
 * image without evidence has p[k] everywhere.
 *
 * Implementations differ in the grid (the authors' code has 8 cells, and a probability of 0.1) and in the number of masks.
 * All images of a batch get the same masks, so that a batch is single runs.
 * @returns [N,K,H,W], not negative
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function rise(options: RiseOptions = {}): Method {
  const { samples = 1000, cells = 7, probability = 0.5, seed = 1, score = 'probability', batch } = options;
  requireCount('samples', samples);
  requireCount('cells', cells);
  if (batch !== undefined) requireCount('batch', batch);
  requireScore(score);
  if (!(probability > 0 && probability <= 1))
    throw new UsageError(`probability ${probability} is out of range; use a number above 0 and up to 1`);

  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const [, , H = 1, W = 1] = call.input.shape;
      let random = uniform(seed);
      const sum = await sumOfMasks(call, {
        ...{ count: samples, batch, score, apply: mul },
        fill: (mask, number) => {
          if (number === 0) random = uniform(seed);
          fillMask(mask, { H, W, cells, probability }, random);
        },
      });
      return mul(sum, scalar(deviceOf(sum), 1 / (samples * probability), scope));
    });
}

interface Grid {
  readonly H: number;
  readonly W: number;
  readonly cells: number;
  readonly probability: number;
}

function fillMask(mask: Float32Array, { H, W, cells, probability }: Grid, random: () => number): void {
  const grid = Array.from({ length: cells * cells }, () => (random() < probability ? 1 : 0));
  const rows = positions(H, cells, random);
  const columns = positions(W, cells, random);
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      const along = (r: number) => {
        const left = at(grid, r * cells + column.before);
        return left + (at(grid, r * cells + column.after) - left) * column.fraction;
      };
      const above = along(row.before);
      mask[y * W + x] = above + (along(row.after) - above) * row.fraction;
    }
  }
}

/** For each pixel along an axis the two cells that it lies between, the grid being shifted by less than one cell. */
function positions(length: number, cells: number, random: () => number) {
  const cell = Math.ceil(length / cells);
  const offset = Math.floor(random() * cell);
  // Half-pixel centres, as torch.nn.functional.interpolate has them by default.
  const scale = cells / ((cells + 1) * cell);
  return Array.from({ length }, (_, pixel) => {
    const position = Math.min(Math.max((pixel + offset + 0.5) * scale - 0.5, 0), cells - 1);
    const before = Math.floor(position);
    return { before, after: Math.min(before + 1, cells - 1), fraction: position - before };
  });
}

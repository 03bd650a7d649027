import { UsageError } from '../../errors.ts';
import { add, deviceOf, div, mul, select, sub, tensor } from '../../kernels/index.ts';
import { at } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Method, MethodCall } from '../method.ts';
import { requireCount } from '../options.ts';
import { imageOf, inScopeOfInput, scoresOfVariants } from '../passes.ts';
import { asked, requireScore, type Score, sumOfMasks } from './masked.ts';

export interface OcclusionOptions {
  /** Side of the patch, in pixels of the prepared image; a seventh of the longer side when left out. */
  readonly patch?: number;
  /** Pixels from one position of the patch to the next; half a patch when left out. */
  readonly stride?: number;
  /** What the patch is filled with: one number, or one for each colour. 0 when left out, the mean colour. */
  readonly fill?: number | readonly [number, number, number];
  /** `logit` when left out. */
  readonly score?: Score;
  /** Occluded images in one pass of the network; as many as there is room for when left out. */
  readonly batch?: number;
}

/**
 * Occlusion (Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2): how much the score loses when a patch covers a part of
 * the image, M[k,i,j] = mean over the positions p of the patch that cover pixel (i,j) of y[k](x) - y[k](x covered at p).
 *
 * The paper shows the probability itself, one value for each position, so that evidence is low; libraries show the loss.
 * Captum's value for a pixel is this mean too. The last position on each axis ends at the border. The paper's patch is grey,
 * which is 0 in a prepared image.
 * @returns [N,K,H,W], signed
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function occlusion(options: OcclusionOptions = {}): Method {
  const { patch, stride, fill = 0, score = 'logit', batch } = options;
  for (const [name, value] of Object.entries({ patch, stride, batch })) {
    if (value !== undefined) requireCount(name, value);
  }
  requireScore(score);
  const colour = typeof fill === 'number' ? [fill] : fill;
  if (![1, 3].includes(colour.length) || !colour.every(Number.isFinite))
    throw new UsageError(`fill ${colour.join(',')} is no colour; use one number, or three of them`);

  return (call) =>
    inScopeOfInput(call, async (call, scope) => {
      const [, , H = 1, W = 1] = call.input.shape;
      const side = patch ?? Math.ceil(Math.max(H, W) / 7);
      if (side > Math.min(H, W))
        throw new UsageError(`patch ${side} is larger than the image of ${H} x ${W} pixels; use a smaller one`);
      const step = stride ?? Math.ceil(side / 2);
      if (step > side)
        throw new UsageError(
          `stride ${step} is longer than the patch of ${side}, and leaves pixels out; use ${side} or less`,
        );
      const [rows, columns] = [starts(H, side, step), starts(W, side, step)];
      const device = deviceOf(call.input);
      const colours = tensor(device, colour, [1, colour.length, 1, 1], { scope });
      const whole = await scoresOfImages(call, score);
      const runs = {
        ...{ count: rows.length * columns.length, batch, score },
        fill: (mask: Float32Array, number: number) => {
          const top = at(rows, Math.floor(number / columns.length));
          const left = at(columns, number % columns.length);
          for (let y = top; y < top + side; y++) mask.fill(1, y * W + left, y * W + left + side);
        },
        // x (1 - m) + colour m
        apply: (image: Tensor, masks: Tensor) => add(image, mul(sub(colours, image), masks)),
        weigh: (scores: Tensor, n: number) => sub(select(whole, 0, n), scores),
      };
      const losses = await sumOfMasks(call, runs);
      const times = outer(coverings(H, side, rows), coverings(W, side, columns));
      return div(losses, tensor(device, times, [H, W], { scope }));
    });
}

/** The scores of the images as they are, [N,K,1]. */
async function scoresOfImages(call: MethodCall, score: Score): Promise<Tensor> {
  return scoresOfVariants({ ...call, progress: undefined }, { count: 1, batch: 1 }, (n) =>
    asked(score, call.model.forward(imageOf(call.input, n))),
  );
}

/** Where patches begin along an axis: every `step` pixels, and so that the last one ends at the border. */
function starts(length: number, side: number, step: number): number[] {
  const last = length - side;
  return [...Array.from({ length: Math.ceil(last / step) }, (_, i) => i * step), last];
}

/** How many patches cover each pixel along an axis. */
function coverings(length: number, side: number, starts: readonly number[]): number[] {
  return Array.from({ length }, (_, i) => starts.filter((start) => start <= i && i < start + side).length);
}

function outer(rows: readonly number[], columns: readonly number[]): Float32Array {
  return Float32Array.from(rows.flatMap((row) => columns.map((column) => row * column)));
}

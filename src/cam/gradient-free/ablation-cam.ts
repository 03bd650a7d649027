import { abs, deviceOf, div, expand, mul, scalar, sub, tensor, where } from '../../kernels/index.ts';
import type { Observer } from '../../nn/forward-pass.ts';
import { type Scope, tidy } from '../../tensor/scope.ts';
import { at, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { atLayer, type CombineOptions, combine } from '../activation/at-layer.ts';
import type { Method, MethodCall } from '../method.ts';
import { INPUT } from '../observe.ts';
import { requireCount } from '../options.ts';
import { batchFor, batchOfImages, imageOf, scoresOfVariants } from '../passes.ts';

export interface AblationCamOptions extends CombineOptions {
  /** Ablated copies in one pass; as many as there is room for when left out. */
  readonly batch?: number;
}

/**
 * Ablation-CAM (Desai and Ramaswamy 2020, doi:10.1109/WACV45572.2020.9093360, equations 2 and 3): a channel counts by what
 * the score loses without it, w[k,c] = (y[k] - y[k] with a[c] = 0) / |y[k]|, and the map is the sum over c of w[k,c] a[c].
 *
 * Only what comes behind the target layer runs for each channel; behind a layer inside of a block, the whole block.
 *
 * The paper divides by y[k], as pytorch-grad-cam does, so that the map of a class with a negative logit turns its sign:
 * what speaks for the class would be negative. Here it is the magnitude. pytorch-grad-cam also puts something far below the
 * minimum of the layer in the place of a channel where that minimum is not 0; here as in the paper it is 0.
 * @returns [N,K,I,J], signed
 * @throws UsageError for options out of range; the signal's reason when cancelled
 */
export function ablationCam(options: AblationCamOptions = {}): Method {
  const { batch } = options;
  if (batch !== undefined) requireCount('batch', batch);
  return (call) =>
    atLayer(call, async ({ activations, logits }, call, scope) => {
      const C = at(activations.shape, 1);
      const rest = restOf(call, activations, scope);
      const variants = { count: C, batch: batch ?? rest.batch };
      const ablated = await scoresOfVariants(call, variants, (n, start, end) =>
        tidy([rest.entry], (entry) => rest.run(imageOf(entry, n), masksWithout(start, end, C, entry))),
      );
      const all = await scoresOfVariants({ ...call, progress: undefined }, { count: 1, batch: 1 }, (n) =>
        imageOf(logits, n),
      );
      const zero = scalar(deviceOf(logits), 0, scope);
      return combine(where(all, div(sub(all, ablated), abs(all)), zero), activations, options);
    });
}

/** The part of the network that runs for each channel. */
interface Rest {
  /** What it begins with, [N,...]. */
  readonly entry: Tensor;
  /** The logits [S,classes] of one image of the entry, for masks [S,C,1,1] of the channels of the target layer. */
  readonly run: (entry: Tensor, masks: Tensor) => Tensor;
  readonly batch: number;
}

function restOf(call: MethodCall, activations: Tensor, scope: Scope): Rest {
  const { model, layer, input } = call;
  const batch = (entry: Tensor) => batchFor(deviceOf(entry), sizeOf(entry.shape.slice(1)));
  if (layer === INPUT)
    return { entry: input, run: (entry, masks) => model.forward(mul(entry, masks)), batch: batchOfImages(call) };
  if (model.after(layer)) {
    const run: Rest['run'] = (entry, masks) => model.forwardFrom(layer, mul(entry, masks));
    return { entry: activations, run, batch: batch(activations) };
  }

  const before = model.entryTo(layer);
  const { entry, runs } = passThrough(call, before, scope);
  const run: Rest['run'] = (entry, masks) => {
    let seen = 0;
    // A module that runs several times is ablated where it is explained, at its last run.
    const ablate: Observer = (output) => (++seen === runs ? mul(output, masks) : output);
    const [, ...shape] = entry.shape;
    const copies = expand(entry, [at(masks.shape, 0), ...shape]);
    const observe = { [layer]: ablate };
    return before === undefined ? model.forward(copies, observe) : model.forwardFrom(before, copies, observe);
  };
  return { entry, run, batch: before === undefined ? batchOfImages(call) : batch(entry) };
}

/** What comes out of the layer `before` (the image itself if there is none), and how often the target layer runs. */
function passThrough({ model, input, layer }: MethodCall, before: string | undefined, scope: Scope) {
  let entry = input;
  let runs = 0;
  const count: Observer = (output) => {
    runs += 1;
    return output;
  };
  const keep: Observer = (output) => {
    entry = output.alias({ scope });
    return output;
  };
  model.forward(input, { [layer]: count, ...(before !== undefined && { [before]: keep }) }).dispose();
  return { entry, runs };
}

/** Masks that leave out the channels with start <= number < end, one in each: [end - start,C,1,1]. */
function masksWithout(start: number, end: number, C: number, like: Tensor): Tensor {
  const values = new Float32Array((end - start) * C).fill(1);
  for (let c = start; c < end; c++) values[(c - start) * C + c] = 0;
  return tensor(deviceOf(like), values, [end - start, C, 1, 1], { scope: like.scope });
}

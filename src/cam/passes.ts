import { concat, type Device, deviceOf, matmul, reshape, slice, transpose } from '../kernels/index.ts';
import { Scope, tidy } from '../tensor/scope.ts';
import { at, sizeOf } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type MethodCall, throwIfAborted } from './method.ts';
import { oneHot, type Target } from './observe.ts';

/** What one batch may take on a device, in bytes, and how many variants gain by being together. */
const ROOM = 2 ** 28;
const MOST = { cpu: 16, webgpu: 64 } as const;
/** Activations that are alive at once, in units of the largest one: input, output, shortcut and a copy in another layout. */
const ALIVE = 4;
/** Values of the largest activation for each pixel of the image: 64 channels at half the resolution, or 16 at the full one. */
const WIDEST = 16;

/** As many variants as there is room for, when each needs so many values at its widest. */
export function batchFor(device: Device, values: number): number {
  const fitting = Math.floor(ROOM / (4 * ALIVE * values));
  return Math.max(1, Math.min(fitting, MOST[device.kind]));
}

/** The same for variants of the image, which go through the whole network. */
export function batchOfImages({ input }: Pick<MethodCall, 'input'>): number {
  return batchFor(deviceOf(input), WIDEST * sizeOf(input.shape.slice(2)));
}

/**
 * Goes through `count` variants of each image, `batch` of them at a time, and waits for each batch.
 * @param run computes the variants with start <= number < end of image n; what it returns is waited for
 * @throws the signal's reason when the work is cancelled
 */
export async function inBatches(
  call: MethodCall,
  { count, batch }: { readonly count: number; readonly batch: number },
  run: (n: number, start: number, end: number) => Tensor,
): Promise<void> {
  const images = at(call.input.shape, 0);
  const perImage = Math.ceil(count / batch);
  for (let pass = 0; pass < images * perImage; pass++) {
    throwIfAborted(call);
    const start = (pass % perImage) * batch;
    await settled(run(Math.floor(pass / perImage), start, Math.min(start + batch, count)));
    call.progress?.(pass + 1, images * perImage);
  }
}

/** Image n of a batch, or what belongs to it: [N,...] to [1,...]. */
export function imageOf(x: Tensor, n: number): Tensor {
  const origin = x.shape.map((_, axis) => (axis === 0 ? n : 0));
  return slice(
    x,
    origin,
    x.shape.map((size, axis) => (axis === 0 ? n + 1 : size)),
  );
}

/**
 * The scores of the K classes of image n for S variants of it.
 * @param values [S, classes]: logits, or probabilities
 * @returns [K,S]
 */
export function scoresOf({ classes, counterfactual }: Target, n: number, values: Tensor): Tensor {
  return tidy([values], (values) => {
    const count = at(values.shape, 1);
    const target = { classes: [at(classes, n)], counterfactual };
    const picked = reshape(oneHot(target, slice(values, [0, 0], [1, count])), [-1, count]);
    return matmul(picked, transpose(values));
  });
}

/**
 * The scores of the K classes for `count` variants of each image.
 * @param run the logits [end - start, classes] of the variants with start <= number < end of image n
 * @returns [N,K,count]
 * @throws the signal's reason when the work is cancelled
 */
export async function scoresOfVariants(
  call: MethodCall,
  { count, batch }: { readonly count: number; readonly batch: number },
  run: (n: number, start: number, end: number) => Tensor,
): Promise<Tensor> {
  const parts: Tensor[] = [];
  await inBatches(call, { count, batch }, (n, start, end) => {
    const logits = run(n, start, end);
    const part = scoresOf(call, n, logits);
    logits.dispose();
    parts.push(part);
    return part;
  });
  return tidy(parts, (...parts) => {
    const all = concat(parts, 1);
    return transpose(reshape(all, [-1, at(call.input.shape, 0), count]), [1, 0, 2]);
  });
}

/** Waits until the device has got this far, and lets events in, which the CPU device by itself would not. */
export async function settled(x: Tensor): Promise<void> {
  const origin = x.shape.map(() => 0);
  const first = slice(
    x,
    origin,
    origin.map(() => 1),
  );
  await first.data().finally(() => first.dispose());
  await pause();
}

/**
 * Lets events in, among them the one that cancels. It waits for a message: a timer takes a millisecond at the least, a
 * third of what a small pass takes, and four in browsers.
 */
export function pause(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** Runs `compute` on the call with an input in a scope of its own; what it returns belongs to the scope of the input. */
export async function inScopeOfInput(
  call: MethodCall,
  compute: (call: MethodCall, scope: Scope) => Promise<Tensor>,
): Promise<Tensor> {
  const scope = new Scope(call.input.scope);
  try {
    return scope.keep(await compute({ ...call, input: scope.enter(call.input) }, scope));
  } finally {
    scope.dispose();
  }
}

/** The progress of part `i` of so many that take about as long. */
export function partOf(progress: MethodCall['progress'], i: number, parts: number): MethodCall['progress'] {
  return progress && ((done, total) => progress(i * total + done, parts * total));
}

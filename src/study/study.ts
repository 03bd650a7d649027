import type { Activation } from '../cam/algorithm.ts';
import type { ExplainedClass } from '../cam/explain.ts';
import type { ImageExplanation } from '../cam/explain-image.ts';
import { type StepName, type TraceStep, traceOf } from '../cam/trace.ts';
import type { Rectangle, RgbImage } from '../image/image.ts';
import { resize } from '../image/resample.ts';
import { deviceOf, tensor } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import { withScope } from '../tensor/scope.ts';
import type { Shape } from '../tensor/shape.ts';

/** A step of the algorithm on the host: of one image, without the batch axis. */
export interface HostStep extends Omit<TraceStep, 'tensor' | 'classes'> {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** The photograph at some size, and the part of it, in its pixels, that the network saw. */
export interface Photo {
  readonly photo: RgbImage;
  readonly region: Rectangle;
}

/** Everything that the page tells of one image. */
export interface Study extends Photo {
  readonly model: string;
  readonly device: string;
  readonly file: string;
  readonly layer: string;
  readonly activation: Activation;
  /** The pixels that the network saw. */
  readonly seen: RgbImage;
  readonly classes: readonly ExplainedClass[];
  readonly steps: ReadonlyMap<StepName, HostStep>;
}

/**
 * Goes through Algorithm 1 on what it explained, and keeps every step.
 * @throws UsageError for an explanation by another method
 */
export async function studyOf(model: Model, explained: ImageExplanation, file: string): Promise<Study> {
  const { photo, region, classes, explanation, prepared } = explained;
  const { input, shape, seen } = prepared;
  const { layer, activation } = explanation;
  const device = deviceOf(explanation.tensors.logits);
  const steps = new Map<StepName, HostStep>();
  await withScope(async (scope) => {
    for await (const step of traceOf(explanation, tensor(device, input, shape, { scope }))) {
      const { tensor: values, classes: _, ...description } = step;
      const data = await values.data();
      steps.set(step.name, {
        ...description,
        shape: values.shape.slice(1),
        data: data instanceof Float32Array ? data : Float32Array.from(data),
      });
    }
  });
  return { model: model.name, device: device.name, file, layer, activation, photo, region, seen, classes, steps };
}

/** @throws RangeError for a step that the trace did not make */
export function stepOf({ steps }: Study, name: StepName): HostStep {
  const step = steps.get(name);
  if (!step) throw new RangeError(`the trace has no step ${name}`);
  return step;
}

/** The photograph with a longest side of at most `side` pixels. */
export function photoAt({ photo, region }: Study, side: number): Photo {
  const { width, height } = photo;
  const scale = Math.min(1, side / Math.max(width, height));
  const scaled = (length: number) => Math.max(1, Math.round(length * scale));
  const reduced = resize(photo, scaled(width), scaled(height), 'bilinear');
  const [across, down] = [reduced.width / width, reduced.height / height];
  return {
    photo: reduced,
    region: { x: region.x * across, y: region.y * down, width: region.width * across, height: region.height * down },
  };
}

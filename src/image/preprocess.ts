import { UsageError } from '../errors.ts';
import { type Rectangle, type RgbImage, requireSize } from './image.ts';
import { type Filter, resize } from './resample.ts';

/** How a photograph becomes the network's input. */
export interface Preprocessing {
  /**
   * `{ shorter, crop }`: the shorter side is resized to `shorter` pixels with the aspect ratio kept, then a square of
   * `crop` pixels is cut from the centre. `{ squash }`: resized to a square of `squash` pixels, whatever the aspect ratio.
   */
  readonly fit: { readonly shorter: number; readonly crop: number } | { readonly squash: number };
  readonly filter: Filter;
  /** Per channel, of values in [0, 1]; the input is (value - mean) / std. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The network's input, and what it was made from. */
export interface Preprocessed {
  /** [1, 3, H, W], row-major. */
  readonly input: Float32Array;
  readonly shape: readonly [1, 3, number, number];
  /** The part of the original image, in its pixels (may be fractional), that the network saw. */
  readonly region: Rectangle;
  /** The pixels that the network saw, [H, W, 3]. */
  readonly seen: RgbImage;
}

/** Channel statistics of ImageNet's training images, as torchvision has them. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/** torchvision's `ImageClassification` presets, under the names of the weights that were trained with them. */
export const PRESETS = {
  IMAGENET1K_V1: { fit: { shorter: 256, crop: 224 }, filter: 'bilinear', ...IMAGENET },
  IMAGENET1K_V2: { fit: { shorter: 232, crop: 224 }, filter: 'bilinear', ...IMAGENET },
} as const satisfies Record<string, Preprocessing>;

/** The longest side of a network's input, in pixels: more than any network is run at, and less than exhausts the memory. */
export const LONGEST_INPUT = 16_384;

/** Squashed to `size` x `size` pixels, normalised as ImageNet: nothing of the photograph is cut off. */
export function squash(size: number): Preprocessing {
  return { fit: { squash: size }, filter: 'bilinear', ...IMAGENET };
}

/**
 * Makes the network's input as torchvision does from a PIL image: resize, centre crop, scale to [0, 1], normalise.
 * @throws UsageError if a size is not a whole number from 1 to 16,384, or the crop is larger than the resized shorter side
 *   (where torchvision would pad with black).
 */
export function preprocess(image: RgbImage, preset: Preprocessing): Preprocessed {
  const { width, height, crop } = target(image, preset.fit);
  const seen = resize(image, width, height, preset.filter, crop);
  const [scaleX, scaleY] = [image.width / width, image.height / height];
  return {
    input: normalise(seen, preset),
    shape: [1, 3, seen.height, seen.width],
    region: { x: crop.x * scaleX, y: crop.y * scaleY, width: crop.width * scaleX, height: crop.height * scaleY },
    seen,
  };
}

/** The size that the whole image is resized to, and the part of it that is kept. */
function target(image: RgbImage, fit: Preprocessing['fit']): { width: number; height: number; crop: Rectangle } {
  if ('squash' in fit) {
    requireInputSize(fit.squash, 'squash');
    return { width: fit.squash, height: fit.squash, crop: { x: 0, y: 0, width: fit.squash, height: fit.squash } };
  }
  const { shorter, crop } = fit;
  requireInputSize(shorter, 'shorter');
  requireInputSize(crop, 'crop');
  if (crop > shorter) throw new UsageError(`crop ${crop} is larger than the shorter side ${shorter}; make it smaller`);
  const short = Math.min(image.width, image.height);
  const width = Math.trunc((shorter * image.width) / short);
  const height = Math.trunc((shorter * image.height) / short);
  const [x, y] = [roundHalfEven((width - crop) / 2), roundHalfEven((height - crop) / 2)];
  return { width, height, crop: { x, y, width: crop, height: crop } };
}

function requireInputSize(value: number, what: string): void {
  requireSize(value, what);
  if (value > LONGEST_INPUT) throw new UsageError(`${what} is ${value}; give at most ${LONGEST_INPUT} pixels`);
}

/** Python's `round`, which torchvision's centre crop uses. `value` is a multiple of one half. */
function roundHalfEven(value: number): number {
  return Number.isInteger(value) ? value : 2 * Math.round(value / 2);
}

function normalise({ width, height, data }: RgbImage, { mean, std }: Preprocessing): Float32Array {
  const pixels = width * height;
  const input = new Float32Array(3 * pixels);
  mean.forEach((channelMean, channel) => {
    const table = normalisedLevels(channelMean, std[channel] ?? 1);
    for (let i = 0; i < pixels; i++) input[channel * pixels + i] = table[data[i * 3 + channel] ?? 0] ?? 0;
  });
  return input;
}

/** The normalised value of each of the 256 grey levels, with every step rounded to float32 as PyTorch does. */
function normalisedLevels(mean: number, std: number): Float32Array {
  return Float32Array.from({ length: 256 }, (_, level) => {
    const value = Math.fround(level / 255);
    return Math.fround(value - Math.fround(mean)) / Math.fround(std);
  });
}

import { InputError, UsageError } from '../errors.ts';
import { classColour, diverging } from '../image/colour.ts';
import { decodeImage } from '../image/decode.ts';
import { type Drawing, rasterise } from '../image/drawing.ts';
import { type ColourBar, drawContactSheet, drawWithLegend, formatPercent, type LegendClass } from '../image/figure.ts';
import type { Rectangle, RgbImage } from '../image/image.ts';
import { type OverlayMap, type OverlayOptions, overlayFused, overlaySingle } from '../image/overlay.ts';
import { PRESETS, type Preprocessed, type Preprocessing, preprocess, squash } from '../image/preprocess.ts';
import { type Device, tensor } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import type { Architecture } from '../nn/models/registry.ts';
import { type Scope, withScope } from '../tensor/scope.ts';
import { at, sizeOf } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  type ExplainedClass,
  type ExplainMethodOptions,
  type Explanation,
  explainTensor,
  type Steps,
} from './explain.ts';
import { hostMaps } from './host-maps.ts';
import { type MethodOptions, type NamedMethod, namedMethod } from './methods.ts';

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES: readonly string[] = Object.keys(PRESETS);

export interface ExplainImageOptions extends ExplainMethodOptions, Pick<OverlayOptions, 'heatmapAlpha'> {
  readonly device: Device;
  /** The image is squashed to size x size pixels; without it, the preset decides. */
  readonly size?: number;
  /** How the weights want images: a torchvision preset by name, or one of your own. The model's own when left out. */
  readonly preset?: PresetName | Preprocessing;
  /** For messages: the file that the image comes from. */
  readonly file?: string;
}

/** CIFAR's images and the scenes have this size; torchvision's first weights are the most widely used ones. */
const PREPROCESSING: Readonly<Record<Architecture['data'], Preprocessing>> = {
  imagenet: PRESETS.IMAGENET1K_V1,
  cifar: squash(32),
  scenes: squash(96),
};

/** How an image is prepared for a model when nothing else is said. */
export function defaultPreprocessing({ architecture }: Model): Preprocessing {
  return PREPROCESSING[architecture.data];
}

/** A PNG or JPEG file, or pixels. */
export type ImageSource = Uint8Array | RgbImage;

/**
 * Explains a photograph, or several as one batch: which parts of it speak for each of the model's top K classes.
 *
 * @param image one, or an array of them, for which an array comes back
 * @param options of which `methodOptions.region` is in pixels of the photograph
 * @throws UsageError for options that do not fit, InputError for an image that cannot be read; the signal's reason when
 * cancelled
 */
export async function explain(
  model: Model,
  image: ImageSource,
  options: ExplainImageOptions,
): Promise<ImageExplanation>;
export async function explain(
  model: Model,
  images: readonly ImageSource[],
  options: ExplainImageOptions,
): Promise<ImageExplanation[]>;
export async function explain(
  model: Model,
  images: ImageSource | readonly ImageSource[],
  options: ExplainImageOptions,
): Promise<ImageExplanation | ImageExplanation[]> {
  if (isList(images)) return explainBatch(model, images, options);
  const [explanation] = await explainBatch(model, [images], options);
  if (!explanation) throw new RangeError('one image has one explanation');
  return explanation;
}

function isList(images: ImageSource | readonly ImageSource[]): images is readonly ImageSource[] {
  return Array.isArray(images);
}

async function explainBatch(
  model: Model,
  images: readonly ImageSource[],
  options: ExplainImageOptions,
): Promise<ImageExplanation[]> {
  const { device, file = 'the image', heatmapAlpha } = options;
  if (images.length === 0) throw new UsageError('images is empty; give at least one');
  const preparation = preprocessingOf(model, options);
  const prepared = await Promise.all(
    images.map(async (image) => {
      const photo = image instanceof Uint8Array ? await decodeImage(image, file) : image;
      return { photo, ...preprocess(photo, preparation) };
    }),
  );
  const methodOptions = inPixelsOfInput(options.methodOptions, prepared);
  return withScope(async (scope) => {
    const settings = { ...options, ...(methodOptions && { methodOptions }) };
    const batch = await explainTensor(model, stacked(device, prepared, scope), settings);
    const explanations = batch.split();
    try {
      return await Promise.all(
        explanations.map(async (explanation, n) => {
          const { photo, ...seen } = at(prepared, n);
          const { maps, tensors } = explanation;
          const [fused, singles] = [await finiteMaps(maps), await finiteMaps(tensors.singles)];
          return new ImageExplanation({
            ...{ explanation, photo, prepared: seen, fused, singles },
            ...(heatmapAlpha !== undefined && { heatmapAlpha }),
          });
        }),
      );
    } catch (error) {
      for (const explanation of explanations) explanation.dispose();
      throw error;
    }
  });
}

interface Prepared extends Preprocessed {
  readonly photo: RgbImage;
}

/** The prepared images, which one preparation makes of one size, as a batch [N,3,H,W]. */
function stacked(device: Device, prepared: readonly Prepared[], scope: Scope): Tensor {
  const { shape } = at(prepared, 0);
  const size = sizeOf(shape);
  const values = new Float32Array(prepared.length * size);
  for (const [n, { input }] of prepared.entries()) values.set(input, n * size);
  return tensor(device, values, [prepared.length, ...shape.slice(1)], { scope });
}

/** The region of `seg-xres-cam`, of which the photograph's pixels are known, in those of the prepared image. */
function inPixelsOfInput(options: MethodOptions | undefined, prepared: readonly Prepared[]): MethodOptions | undefined {
  const region = options?.region;
  if (!region) return options;
  if (prepared.length > 1) throw new UsageError('region is a part of one image; explain the images one by one');
  const { shape, region: seen } = at(prepared, 0);
  const along = (start: number, length: number, from: number, seen: number, pixels: number) => {
    const [first, end] = [Math.max(start, from), Math.min(start + length, from + seen)];
    return [((first - from) * pixels) / seen, ((end - first) * pixels) / seen] as const;
  };
  const [x, width] = along(region.x, region.width, seen.x, seen.width, at(shape, 3));
  const [y, height] = along(region.y, region.height, seen.y, seen.height, at(shape, 2));
  if (!(width > 0 && height > 0)) {
    const part = [seen.x, seen.y, seen.width, seen.height].map(Math.round).join(',');
    throw new UsageError(
      `region ${region.x},${region.y},${region.width},${region.height} has nothing of what the network sees of the photograph; use a part of ${part} (x,y,width,height)`,
    );
  }
  return { ...options, region: { x, y, width, height } };
}

export function preprocessingOf(model: Model, { size, preset }: ExplainImageOptions): Preprocessing {
  if (size !== undefined && preset !== undefined) throw new UsageError('give either size or preset, not both');
  if (size !== undefined) return squash(size);
  if (preset === undefined) return defaultPreprocessing(model);
  if (typeof preset !== 'string') return preset;
  if (!Object.hasOwn(PRESETS, preset))
    throw new UsageError(`preset "${preset}" is unknown; use ${PRESET_NAMES.join(' or ')}`);
  return PRESETS[preset];
}

async function finiteMaps(maps: Tensor): Promise<OverlayMap[]> {
  const hosted = await hostMaps(maps);
  if (!hosted.every(({ data }) => data.every(Number.isFinite)))
    throw new InputError(
      'the maps are not finite; look for NaN or infinite values in the weights, or compare the devices layer by layer',
    );
  return hosted;
}

interface Parts {
  readonly explanation: Explanation;
  readonly photo: RgbImage;
  readonly prepared: Preprocessed;
  readonly fused: readonly OverlayMap[];
  readonly singles: readonly OverlayMap[];
  readonly heatmapAlpha?: number;
}

/** An explained photograph: the maps, and the pictures that show them. The pictures are made when they are asked for. */
export class ImageExplanation {
  readonly explanation: Explanation;
  readonly photo: RgbImage;
  /** What the network saw of it. */
  readonly prepared: Preprocessed;
  /** The fused maps, one for each class, of the resolution that the method works at; of other methods the single ones. */
  readonly fused: readonly OverlayMap[];
  /** Each map for itself: Grad-CAM of each class, for FM-G-CAM. */
  readonly singles: readonly OverlayMap[];
  readonly #overlay: OverlayOptions;
  readonly #method: NamedMethod;

  constructor({ explanation, photo, prepared, fused, singles, heatmapAlpha }: Parts) {
    this.explanation = explanation;
    this.photo = photo;
    this.prepared = prepared;
    this.fused = fused;
    this.singles = singles;
    this.#overlay = { region: this.region, ...(heatmapAlpha !== undefined && { heatmapAlpha }) };
    this.#method = namedMethod(explanation.method);
  }

  /** The part of the photograph that the network saw, in its pixels. */
  get region(): Rectangle {
    return this.prepared.region;
  }

  /** Every intermediate, on the device; with a batch axis of one image. Only Algorithm 1 has them. */
  get steps(): Steps {
    return this.explanation.steps;
  }

  /** The explained classes, in order. */
  get classes(): readonly ExplainedClass[] {
    return at(this.explanation.classes, 0);
  }

  /** A name for each of the single maps: `1-cat`, or `1` where a method asks for no class and has several maps. */
  get singleNames(): readonly string[] {
    if (this.#method.info.perClass) return this.classes.map(({ name }, k) => `${k + 1}-${name}`);
    return this.singles.map((_, m) => (this.singles.length > 1 ? String(m + 1) : ''));
  }

  /** The fused map over the photograph, one hue for each class, with a legend that names classes and probabilities. */
  fusedPicture(): RgbImage {
    return rasterise(this.fusedDrawing());
  }

  /** One of the single maps over the photograph, with a legend: that of class k, where maps are of classes. */
  classPicture(k: number): RgbImage {
    return rasterise(this.classDrawing(k));
  }

  /** Photograph, the fused map (unless left out, or there is none), then each map by itself, as the paper's figures 5 and 7. */
  contactSheet(options: { readonly fused?: boolean } = {}): RgbImage {
    return rasterise(this.contactSheetDrawing(options));
  }

  /** `fusedPicture` as shapes, of which `svgOf` makes an SVG file. */
  fusedDrawing(): Drawing {
    return drawWithLegend(this.#fusedOverlay(), {
      title: `${this.#method.title}${this.#where()}`,
      classes: this.#legendClasses(),
      colourBar: this.#fusedScale(),
    });
  }

  /** `classPicture` as shapes. */
  classDrawing(k: number): Drawing {
    const { info } = this.#method;
    const { layer, signed } = this.explanation;
    const extremes = extremesOf(at(this.singles, k));
    const { name, probability } = this.classes[k] ?? {};
    return drawWithLegend(this.#singleOverlay(k), {
      title: `${this.#singleTitle(k, ' of ')}${layer && ` at ${layer}`}`,
      ...(info.perClass &&
        name !== undefined &&
        probability !== undefined && { classes: [{ name, probability, colour: classColour(k) }] }),
      colourBar: signed ? signedScale(signedBars(this.explanation), extremes) : unsignedScale(info.title, extremes),
    });
  }

  /** `contactSheet` as shapes. */
  contactSheetDrawing({ fused = this.#method.fused }: { readonly fused?: boolean } = {}): Drawing {
    const { info, title } = this.#method;
    const { signed } = this.explanation;
    return drawContactSheet({
      photo: this.photo,
      ...(fused && { fused: this.#fusedOverlay(), fusedTitle: title }),
      singles: this.singles.map((map, k) => {
        const { most } = extremesOf(map);
        const speaks = most > 0 ? `up to ${Number(most.toPrecision(3))}` : 'nothing speaks for it';
        const { probability } = this.classes[k] ?? {};
        const ofClass = info.perClass && probability !== undefined;
        return {
          title: this.#singleTitle(k, ': '),
          detail: ofClass ? `${formatPercent(probability)}, ${speaks}` : speaks,
          image: this.#singleOverlay(k),
          ...(ofClass && { colour: classColour(k) }),
        };
      }),
      legend: {
        title: `${fused ? title : info.title}${this.#where()}`,
        // Swatches of hues that no map has would mean nothing.
        ...(info.perClass && { classes: this.#legendClasses() }),
        colourBar: [
          ...(fused ? this.#fusedScale() : []),
          signed
            ? signedBars(this.explanation, ', relative to the largest magnitude')
            : { text: `${info.title}, relative to the maximum of the ${info.perClass ? 'class' : 'map'}` },
        ].flat(),
      },
    });
  }

  /** Frees the tensors; the pictures stay available. */
  dispose(): void {
    this.explanation.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #fusedOverlay(): RgbImage {
    return overlayFused(this.photo, this.fused, this.#overlay);
  }

  #singleOverlay(k: number): RgbImage {
    const map = at(this.singles, k);
    if (!this.explanation.signed) return overlaySingle(this.photo, stretched(map), this.#overlay);
    const { least, most } = extremesOf(map);
    const colours = signedBars(this.explanation).flatMap(({ hues }) => hues);
    const negative = { ...map, data: map.data.map((value) => -value) };
    const fullScale = Math.max(most, -least);
    return overlayFused(this.photo, [map, negative], { ...this.#overlay, colours, fullScale });
  }

  /** `Grad-CAM of cat`, with what stands between the two; the number of a map that is of no class. */
  #singleTitle(k: number, between: ' of ' | ': '): string {
    const { title, perClass } = this.#method.info;
    if (!perClass) return this.singles.length > 1 ? `${title}, concept ${k + 1}` : title;
    const { name } = at(this.classes, k);
    return this.explanation.counterfactual ? `${title} against ${name}` : `${title}${between}${name}`;
  }

  #where(): string {
    const { layer, mode, activation, hasSteps, counterfactual } = this.explanation;
    const details = [
      ...(layer ? [` at ${layer}`] : ['']),
      ...(hasSteps ? [`mode ${mode}`] : []),
      ...(activation === 'relu' ? [] : [activation]),
      ...(counterfactual ? ['against the classes'] : []),
    ];
    return details.join(', ');
  }

  /** What the hues of the fused picture stand for; nothing where the picture is the photograph. */
  #fusedScale(): ColourBar[] {
    const maximum = Math.max(0, ...this.fused.map((map) => extremesOf(map).most));
    const hues = this.classes.map((_, k) => classColour(k));
    return maximum > 0 ? [{ text: `${this.#method.title}, of the class that has the pixel`, maximum, hues }] : [];
  }

  #legendClasses(): LegendClass[] {
    return this.classes.map(({ name, probability }, k) => ({ name, probability, colour: classColour(k) }));
  }
}

const BLANK = 'blank: no pixel speaks for this class';
/** What is positive in a signed picture, and what is negative: one hue speaks for a class, and one against it. */
function signedBars({ counterfactual }: Pick<Explanation, 'counterfactual'>, unit = '') {
  const bars = [
    { text: `speaks for it${unit}`, hues: [diverging(1)] },
    { text: 'speaks against it', hues: [diverging(-1)] },
  ];
  return counterfactual ? bars.toReversed() : bars;
}

function unsignedScale(text: string, { most }: Extremes): ColourBar | string {
  return most > 0 ? { text, maximum: most } : BLANK;
}

/** Both bars have one scale, as the picture has. */
function signedScale(bars: readonly ColourBar[], { least, most }: Extremes): readonly ColourBar[] | string {
  const maximum = Math.max(most, -least);
  return maximum > 0 ? bars.map((bar) => ({ ...bar, maximum })) : BLANK;
}

interface Extremes {
  readonly least: number;
  readonly most: number;
}

function extremesOf({ data }: OverlayMap): Extremes {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of data) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  return { least, most };
}

/** A map in [0,1]: divided by its maximum; one that is zero stays so. */
function stretched(map: OverlayMap): OverlayMap {
  const { most } = extremesOf(map);
  return most > 0 ? { ...map, data: map.data.map((value) => Math.max(value, 0) / most) } : map;
}

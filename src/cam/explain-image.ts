import { InputError, UsageError } from '../errors.ts';
import { classColour } from '../image/colour.ts';
import { decodeImage } from '../image/decode.ts';
import { type Drawing, rasterise } from '../image/drawing.ts';
import { type ColourBar, drawContactSheet, drawWithLegend, formatPercent, type LegendClass } from '../image/figure.ts';
import type { Rectangle, RgbImage } from '../image/image.ts';
import { type OverlayMap, type OverlayOptions, overlayFused, overlaySingle } from '../image/overlay.ts';
import { PRESETS, type Preprocessing, preprocess, squash } from '../image/preprocess.ts';
import { type Device, tensor } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import { withScope } from '../tensor/scope.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ExplainedClass, type ExplainOptions, type Explanation, explainTensor, type Steps } from './explain.ts';

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES: readonly string[] = Object.keys(PRESETS);

export interface ExplainImageOptions extends ExplainOptions, Pick<OverlayOptions, 'heatmapAlpha'> {
  readonly device: Device;
  /** The image is squashed to size x size pixels; without it, the preset decides. */
  readonly size?: number;
  /** How the weights want images: a torchvision preset by name, or one of your own. The model's own when left out. */
  readonly preset?: PresetName | Preprocessing;
  /** For messages: the file that the image comes from. */
  readonly file?: string;
}

/** How an image is prepared for a model when nothing else is said. */
export function defaultPreprocessing({ architecture }: Model): Preprocessing {
  // 32 x 32 is the size of the CIFAR images; torchvision's first weights are the most widely used ones.
  return architecture.data === 'cifar' ? squash(32) : PRESETS.IMAGENET1K_V1;
}

/**
 * Explains a photograph: which parts of it speak for each of the model's top K classes.
 *
 * @param image a PNG or JPEG file, or pixels
 * @throws UsageError for options that do not fit, InputError for an image that cannot be read
 */
export async function explain(
  model: Model,
  image: Uint8Array | RgbImage,
  options: ExplainImageOptions,
): Promise<ImageExplanation> {
  const { device, file = 'the image', heatmapAlpha } = options;
  const preparation = preprocessingOf(model, options);
  const photo = image instanceof Uint8Array ? await decodeImage(image, file) : image;
  const { input, shape, region } = preprocess(photo, preparation);
  return withScope(async (scope) => {
    const explanation = await explainTensor(model, tensor(device, input, shape, { scope }), options);
    try {
      const fused = await mapsOf(explanation.maps);
      const singles = await mapsOf(explanation.steps.grad_cam);
      return new ImageExplanation({
        explanation,
        photo,
        region,
        fused,
        singles,
        ...(heatmapAlpha !== undefined && { heatmapAlpha }),
      });
    } catch (error) {
      explanation.dispose();
      throw error;
    }
  });
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

/** The maps of the first image of [N,K,I,J] on the host. */
async function mapsOf(maps: Tensor): Promise<OverlayMap[]> {
  const [, K = 0, height = 0, width = 0] = maps.shape;
  const data = Float32Array.from(await maps.data());
  if (!data.every(Number.isFinite))
    throw new InputError(
      'the maps are not finite; look for NaN or infinite values in the weights, or compare the devices layer by layer',
    );
  return Array.from({ length: K }, (_, k) => ({
    data: data.slice(k * height * width, (k + 1) * height * width),
    height,
    width,
  }));
}

interface Parts {
  readonly explanation: Explanation;
  readonly photo: RgbImage;
  readonly region: Rectangle;
  readonly fused: readonly OverlayMap[];
  readonly singles: readonly OverlayMap[];
  readonly heatmapAlpha?: number;
}

/** An explained photograph: the maps, and the pictures that show them. The pictures are made when they are asked for. */
export class ImageExplanation {
  readonly explanation: Explanation;
  readonly photo: RgbImage;
  /** The part of the photograph that the network saw, in its pixels. */
  readonly region: Rectangle;
  /** The fused maps, one for each class, of the layer's resolution. */
  readonly fused: readonly OverlayMap[];
  /** Grad-CAM of each class for itself. */
  readonly singles: readonly OverlayMap[];
  readonly #overlay: OverlayOptions;

  constructor({ explanation, photo, region, fused, singles, heatmapAlpha }: Parts) {
    this.explanation = explanation;
    this.photo = photo;
    this.region = region;
    this.fused = fused;
    this.singles = singles;
    this.#overlay = { region, ...(heatmapAlpha !== undefined && { heatmapAlpha }) };
  }

  /** Every intermediate, on the device; with a batch axis of one image. */
  get steps(): Steps {
    return this.explanation.steps;
  }

  /** The explained classes, in order. */
  get classes(): readonly ExplainedClass[] {
    return at(this.explanation.classes, 0);
  }

  /** The fused map over the photograph, one hue for each class, with a legend that names classes and probabilities. */
  fusedPicture(): RgbImage {
    return rasterise(this.fusedDrawing());
  }

  /** Grad-CAM of one class over the photograph, with a legend. */
  classPicture(k: number): RgbImage {
    return rasterise(this.classDrawing(k));
  }

  /** Photograph, FM-G-CAM (unless left out), then Grad-CAM of each class, as the paper's figures 5 and 7. */
  contactSheet(options: { readonly fused?: boolean } = {}): RgbImage {
    return rasterise(this.contactSheetDrawing(options));
  }

  /** `fusedPicture` as shapes, of which `svgOf` makes an SVG file. */
  fusedDrawing(): Drawing {
    return drawWithLegend(this.#fusedOverlay(), {
      title: `FM-G-CAM at ${this.#where()}`,
      classes: this.#legendClasses(),
      colourBar: this.#fusedScale(),
    });
  }

  /** `classPicture` as shapes. */
  classDrawing(k: number): Drawing {
    const { name, probability } = at(this.classes, k);
    const maximum = largest(at(this.singles, k));
    return drawWithLegend(this.#singleOverlay(k), {
      title: `Grad-CAM of ${name} at ${this.explanation.layer}`,
      classes: [{ name, probability, colour: classColour(k) }],
      colourBar: maximum > 0 ? { text: 'Grad-CAM', maximum } : BLANK,
    });
  }

  /** `contactSheet` as shapes. */
  contactSheetDrawing({ fused = true }: { readonly fused?: boolean } = {}): Drawing {
    return drawContactSheet({
      photo: this.photo,
      ...(fused && { fused: this.#fusedOverlay() }),
      singles: this.classes.map(({ name, probability }, k) => {
        const maximum = largest(at(this.singles, k));
        const speaks = maximum > 0 ? `up to ${Number(maximum.toPrecision(3))}` : 'nothing speaks for it';
        return {
          title: `Grad-CAM: ${name}`,
          detail: `${formatPercent(probability)}, ${speaks}`,
          image: this.#singleOverlay(k),
          colour: classColour(k),
        };
      }),
      legend: {
        title: `${fused ? 'FM-G-CAM' : 'Grad-CAM'} at ${this.#where()}`,
        classes: this.#legendClasses(),
        colourBar: [...(fused ? this.#fusedScale() : []), { text: SCALE }],
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
    return overlaySingle(this.photo, stretched(at(this.singles, k)), this.#overlay);
  }

  #where(): string {
    const { layer, mode, activation } = this.explanation;
    return `${layer}, mode ${mode}${activation === 'relu' ? '' : `, ${activation}`}`;
  }

  /** What the hues of the fused picture stand for; nothing where the picture is the photograph. */
  #fusedScale(): ColourBar[] {
    const maximum = Math.max(...this.fused.map(largest));
    const hues = this.classes.map((_, k) => classColour(k));
    return maximum > 0 ? [{ text: 'FM-G-CAM, of the class that has the pixel', maximum, hues }] : [];
  }

  #legendClasses(): LegendClass[] {
    return this.classes.map(({ name, probability }, k) => ({ name, probability, colour: classColour(k) }));
  }
}

const SCALE = 'Grad-CAM, relative to the maximum of the class';
const BLANK = 'blank: no pixel speaks for this class';

/** The largest value of a map, at least 0. */
function largest({ data }: OverlayMap): number {
  return data.reduce((a, b) => Math.max(a, b), 0);
}

/** A map in [0,1]: divided by its maximum; one that is zero stays so. */
function stretched(map: OverlayMap): OverlayMap {
  const most = largest(map);
  return most > 0 ? { ...map, data: map.data.map((value) => Math.max(value, 0) / most) } : map;
}

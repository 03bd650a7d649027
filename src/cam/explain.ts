import { InputError, UsageError } from '../errors.ts';
import { relu, softmax } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import { Scope } from '../tensor/scope.ts';
import { at } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import {
  ACTIVATIONS,
  type Activation,
  activate,
  channelImportance,
  classMaps,
  filterMaximum,
  fuse,
  gradCam,
  normalise,
  topClasses,
  weightedSum,
} from './algorithm.ts';
import { type Method, throwIfAborted } from './method.ts';
import { createMethod, type MethodName, type MethodOptions, type NamedMethod, namedMethod } from './methods.ts';
import { type ObservedPass, observedForward } from './observe.ts';
import { imageOf, pause } from './passes.ts';
import { referenceMaps } from './reference.ts';
import { averagedOver } from './several-layers.ts';
import { augSmoothed } from './smoothing.ts';

export const MODES = ['paper', 'reference'] as const;
/** `paper`: equations 1 to 6. `reference`: what the authors' library computes (see `reference.ts`). */
export type Mode = (typeof MODES)[number];

/** What Algorithm 1 can be told. */
export interface ExplainOptions {
  /** How many of the most probable classes to explain; 5, or all where there are fewer. */
  readonly topK?: number;
  /** The classes to explain, by index or name, instead of the most probable ones. */
  readonly classes?: readonly (number | string)[];
  /** Dotted name of the explained layer; the output of the last stage when left out. */
  readonly layer?: string;
  readonly mode?: Mode;
  readonly activation?: Activation;
}

/** What an explanation by any method can be told. */
export interface ExplainMethodOptions extends ExplainOptions {
  /** `fm-g-cam` when left out. */
  readonly method?: MethodName;
  /** What the method itself can be told. */
  readonly methodOptions?: MethodOptions;
  /** Several layers in the place of one: the mean of their maps (see `averagedOver`). */
  readonly layers?: readonly string[];
  /** Explains what speaks against the classes: the scores are the negative logits. */
  readonly counterfactual?: boolean;
  /** The mean over six versions of the image (see `augSmoothed`). */
  readonly augSmooth?: boolean;
  /** The first principal component of the weighted channels in the place of their sum. */
  readonly eigenSmooth?: boolean;
  /** Keeps what is negative: there is no ReLU, neither on single maps nor in equation 6. */
  readonly signed?: boolean;
  /** Cancels the work between passes of the network; what is rejected with is its reason. */
  readonly signal?: AbortSignal;
  /** Is told how much is done. */
  readonly progress?: (done: number, total: number) => void;
}

/** A class that is explained. */
export interface ExplainedClass {
  readonly index: number;
  readonly name: string;
  readonly probability: number;
  readonly logit: number;
}

/** Every intermediate of the algorithm, for N images, K classes, C channels of I x J pixels at the layer. */
export interface Steps {
  /** [N, classes] */
  readonly logits: Tensor;
  /** [N, classes] */
  readonly probs: Tensor;
  /** [N,C,I,J], at the explained layer */
  readonly activations: Tensor;
  /** [N,K,C,I,J], of the logits of the explained classes */
  readonly gradients: Tensor;
  /** Equation 2, [N,K,C] */
  readonly alpha: Tensor;
  /** Equation 3, [N,K,I,J] */
  readonly R: Tensor;
  /** Equation 4, [N,K,I,J] */
  readonly S: Tensor;
  /** The quotient of equation 6, [N,K,I,J] */
  readonly S_normalised: Tensor;
  /** Equation 6, [N,K,I,J] */
  readonly fm_g_cam: Tensor;
  /** Grad-CAM of each class for itself, [N,K,I,J] */
  readonly grad_cam: Tensor;
  /** What the authors' library returns, [N,K,I,J]; in mode `reference` only */
  readonly reference?: Tensor;
}

/** What every method has, for N images and M maps: those of the K classes, or of concepts where there are no classes. */
export interface Maps {
  /** [N, classes] */
  readonly logits: Tensor;
  /** [N, classes] */
  readonly probs: Tensor;
  /** What the method returned, signed where it has a sign, and what is fused: [N,M,I,J]. Of FM-G-CAM, equation 3. */
  readonly raw: Tensor;
  /** Each map for itself, without what is negative unless `signed` was asked for: [N,M,I,J] */
  readonly singles: Tensor;
  /** Equation 4; of a fusion only */
  readonly S?: Tensor;
  /** The quotient of equation 6; of a fusion only */
  readonly S_normalised?: Tensor;
  /** Equation 6, without its activation if `signed` was asked for; of a fusion only */
  readonly fused?: Tensor;
}

/** What an explanation says of itself. */
export interface Description {
  readonly method: MethodName;
  /** Of the explained layers; none of methods that explain the image itself. */
  readonly layers: readonly string[];
  readonly mode: Mode;
  readonly activation: Activation;
  readonly counterfactual: boolean;
  readonly signed: boolean;
  /** For each image, the explained classes in order. */
  readonly classes: readonly (readonly ExplainedClass[])[];
}

/** What `explainTensor` found out. The maps are tensors on the device: read them with `data()`, then `dispose()`. */
export class Explanation implements Description {
  readonly method: MethodName;
  readonly layers: readonly string[];
  readonly mode: Mode;
  readonly activation: Activation;
  readonly counterfactual: boolean;
  readonly signed: boolean;
  readonly classes: readonly (readonly ExplainedClass[])[];
  readonly tensors: Maps;
  readonly #steps: Steps | undefined;
  readonly #scope: Scope;

  constructor(description: Description, tensors: Maps, steps: Steps | undefined, scope: Scope) {
    this.method = description.method;
    this.layers = description.layers;
    this.mode = description.mode;
    this.activation = description.activation;
    this.counterfactual = description.counterfactual;
    this.signed = description.signed;
    this.classes = description.classes;
    this.tensors = tensors;
    this.#steps = steps;
    this.#scope = scope;
  }

  /** The explained layer, or the names of several. */
  get layer(): string {
    return this.layers.join(', ');
  }

  /** The maps to look at: the fused ones of a fusion (in mode `reference` those of the authors' library), else the single ones. */
  get maps(): Tensor {
    const { fused, singles } = this.tensors;
    return this.#steps?.reference ?? fused ?? singles;
  }

  /** Whether there are `steps`. */
  get hasSteps(): boolean {
    return this.#steps !== undefined;
  }

  /**
   * Every intermediate of Algorithm 1, of which Grad-CAM is a part.
   * @throws UsageError for other methods, and where `ExplainMethodOptions` changed the algorithm
   */
  get steps(): Steps {
    if (this.#steps) return this.#steps;
    throw new UsageError(
      `this explanation by ${this.method} has no steps of Algorithm 1; read its tensors, or explain one layer with fm-g-cam and without further options`,
    );
  }

  /** One explanation for each image, to be disposed of by themselves; this one is disposed of. */
  split(): Explanation[] {
    try {
      return this.classes.map((classes, n) => {
        const scope = new Scope();
        const steps = this.#steps && ofImage(this.#steps, n, scope);
        const { method, layers, mode, activation, counterfactual, signed } = this;
        const description = { method, layers, mode, activation, counterfactual, signed, classes: [classes] };
        return new Explanation(description, ofImage(this.tensors, n, scope), steps, scope);
      });
    } finally {
      this.dispose();
    }
  }

  dispose(): void {
    this.#scope.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The tensors of image n, as views. */
function ofImage<Tensors extends object>(tensors: Tensors, n: number, scope: Scope): Tensors {
  const views = Object.entries(tensors).map(([name, tensor]) => [name, imageOf(scope.enter(tensor), n)]);
  return Object.fromEntries(views);
}

/**
 * Explains a batch that is prepared already: FM-G-CAM, unless another method is asked for.
 *
 * FM-G-CAM and Grad-CAM take one forward pass, with a tape from the explained layer on, and one backward pass for the K
 * classes of all images. What other methods take, their own functions say.
 *
 * @param input [N,3,H,W], on the device that shall do the work
 * @throws UsageError for options that this model cannot meet; InputError when the network does not return numbers; the
 * signal's reason when cancelled
 */
export async function explainTensor(
  model: Model,
  input: Tensor,
  options: ExplainMethodOptions = {},
): Promise<Explanation> {
  const named = namedMethod(options.method ?? 'fm-g-cam');
  const layers = layersOf(named, model, options);
  const plain = isAlgorithm1(named, layers, options);
  const { mode = 'paper', activation = 'relu', counterfactual = false, signed = false, signal } = options;
  if (!MODES.includes(mode)) throw new UsageError(`mode "${mode}" is unknown; use ${MODES.join(' or ')}`);
  if (!ACTIVATIONS.includes(activation)) {
    throw new UsageError(`activation "${activation}" is unknown; use ${ACTIVATIONS.join(', ')}`);
  }
  if (mode === 'reference' && !plain)
    throw new UsageError('mode reference is FM-G-CAM at one layer; leave the mode out, or the other options');
  const method = methodOf(named, layers, options);
  const chosen = chosenClasses(model, options);

  const scope = new Scope();
  try {
    throwIfAborted({ signal });
    const x = scope.enter(input);
    const pass = firstPass(model, x, layers[0], scope);
    const { logits, probs, observed } = pass;
    try {
      const [scores, probabilities] = await Promise.all([logits.data(), probs.data()]);
      const classes = classesOf(model, scores, probabilities, chosen, options.topK);
      const description = { method: named.name, layers, mode, activation, counterfactual, signed, classes };
      const indices = classes.map((ofImage) => ofImage.map(({ index }) => index));
      if (signal) await pause();
      throwIfAborted({ signal });
      if (plain && observed) {
        const steps = stepsOf(observed, indices, description);
        return new Explanation(description, mapsOfSteps(steps, named), steps, scope);
      }
      const { progress } = options;
      const layer = layers[0] ?? '';
      const raw = await method({
        model,
        input: x,
        layer,
        classes: indices,
        counterfactual,
        signal,
        progress,
        observed,
      });
      return new Explanation(description, { logits, probs, ...mapsOf(raw, named, description) }, undefined, scope);
    } finally {
      observed?.free();
    }
  } catch (error) {
    scope.dispose();
    throw error;
  }
}

/** The layers to explain. */
function layersOf(named: NamedMethod, model: Model, { layer, layers }: ExplainMethodOptions): readonly string[] {
  if (layer !== undefined && layers) throw new UsageError('give either layer or layers, not both');
  if (layers?.length === 0) throw new UsageError('layers is empty; name at least one layer');
  if (named.info.layer) return layers ?? [layer ?? model.architecture.layer];
  if (layer !== undefined || layers)
    throw new UsageError(`${named.name} explains the image itself; leave the layer out`);
  return [];
}

/** Whether this is Algorithm 1 as the paper has it, or Grad-CAM, which is part of it. */
function isAlgorithm1({ base }: NamedMethod, layers: readonly string[], options: ExplainMethodOptions): boolean {
  const { methodOptions = {}, counterfactual, augSmooth, eigenSmooth, signed } = options;
  const changed = counterfactual || augSmooth || eigenSmooth || signed || Object.keys(methodOptions).length > 0;
  return base === 'grad-cam' && layers.length === 1 && !changed;
}

/** The method with everything that was asked for around it. */
function methodOf(named: NamedMethod, layers: readonly string[], options: ExplainMethodOptions): Method {
  const { methodOptions, eigenSmooth, augSmooth } = options;
  const method = createMethod(named, { ...methodOptions, ...(eigenSmooth && { eigenSmooth }) });
  if (named.base === 'dff' && (augSmooth || layers.length > 1)) {
    throw new UsageError(
      'dff finds other concepts in each layer and version of the image, which have no mean; leave augSmooth out, and name one layer',
    );
  }
  const overLayers = layers.length > 1 ? averagedOver(layers, method) : method;
  return augSmooth ? augSmoothed(overLayers) : overLayers;
}

/** The pass that finds the classes; it is observed at the target layer, if there is one. */
function firstPass(
  model: Model,
  input: Tensor,
  layer: string | undefined,
  scope: Scope,
): Pick<ObservedPass, 'logits' | 'probs'> & { readonly observed?: ObservedPass } {
  if (layer !== undefined) {
    const observed = observedForward(model, input, layer, scope);
    return { logits: observed.logits, probs: observed.probs, observed };
  }
  const logits = model.forward(input);
  return { logits, probs: softmax(logits, 1) };
}

/** Equations 2 to 6, and Grad-CAM. */
function stepsOf(
  { logits, probs, activations, gradientsOf }: ObservedPass,
  classes: readonly (readonly number[])[],
  { mode, activation }: Description,
): Steps {
  const gradients = gradientsOf({ classes });
  const alpha = channelImportance(gradients);
  const R = classMaps(alpha, activations);
  const S = filterMaximum(R);
  const S_normalised = normalise(fuse([S]));
  return {
    logits,
    probs,
    activations,
    gradients,
    alpha,
    R,
    S,
    S_normalised,
    fm_g_cam: activate(S_normalised, activation),
    grad_cam: gradCam(alpha, activations),
    ...(mode === 'reference' && { reference: referenceMaps(alpha, activations, { activation }) }),
  };
}

function mapsOfSteps(steps: Steps, { fused }: NamedMethod): Maps {
  const { logits, probs, R, S, S_normalised, fm_g_cam, grad_cam } = steps;
  if (fused) return { logits, probs, raw: R, singles: grad_cam, S, S_normalised, fused: fm_g_cam };
  return { logits, probs, raw: weightedSum(steps.alpha, steps.activations), singles: grad_cam };
}

/** Equations 4 to 6 of any method's maps, and what the maps are by themselves. */
function mapsOf(
  raw: Tensor,
  { fused }: NamedMethod,
  { activation, signed }: Description,
): Omit<Maps, 'logits' | 'probs'> {
  const singles = signed ? raw.alias() : relu(raw);
  if (!fused) return { raw, singles };
  const S = filterMaximum(raw);
  const S_normalised = normalise(fuse([S]));
  return { raw, singles, S, S_normalised, fused: signed ? S_normalised.alias() : activate(S_normalised, activation) };
}

/** Equation 1 for each image, or the classes that were asked for. */
export function classesOf(
  model: Model,
  logits: ArrayLike<number>,
  probs: ArrayLike<number>,
  chosen: readonly number[] | undefined,
  topK: number | undefined,
): ExplainedClass[][] {
  const { labels } = model;
  if (!Array.from(logits).every(Number.isFinite)) {
    throw new InputError(
      `${model.name}: the logits are not finite; look for NaN or infinite values in the input, or compare the devices layer by layer`,
    );
  }
  const images = logits.length / labels.length;
  return Array.from({ length: images }, (_, n) => {
    const ofImage = (values: ArrayLike<number>) => Array.from(values).slice(n * labels.length, (n + 1) * labels.length);
    const probabilities = ofImage(probs);
    const scores = ofImage(logits);
    const indices = chosen ?? topClasses(probabilities, topK ?? Math.min(5, labels.length));
    return indices.map((index) => ({
      index,
      name: at(labels, index),
      probability: at(probabilities, index),
      logit: at(scores, index),
    }));
  });
}

/** The indices of the classes that were asked for, or undefined; checked before anything is computed. */
export function chosenClasses({ labels, name }: Model, { classes, topK }: ExplainOptions): number[] | undefined {
  if (!classes) {
    if (topK !== undefined)
      topClasses(
        labels.map(() => 0),
        topK,
      );
    return undefined;
  }
  if (topK !== undefined) throw new UsageError('give either classes or topK, not both');
  if (classes.length === 0) throw new UsageError('classes is empty; name at least one class');
  const indices = classes.map((wanted) => classIndex({ labels, name }, wanted));
  if (new Set(indices).size !== indices.length)
    throw new UsageError(`classes ${classes.join(', ')} name one class twice`);
  return indices;
}

/**
 * The index of a class that is given by its name or its index.
 * @throws UsageError if the model has no such class
 */
export function classIndex({ labels, name }: Pick<Model, 'labels' | 'name'>, wanted: string | number): number {
  const index = typeof wanted === 'number' || /^\d+$/.test(wanted) ? Number(wanted) : indexOfLabel(labels, wanted);
  if (!Number.isInteger(index) || index < 0 || index >= labels.length) {
    throw new UsageError(
      `class "${wanted}" is unknown to ${name}; use a name, or an index from 0 to ${labels.length - 1}`,
    );
  }
  return index;
}

/** The class of this name; case matters only where two classes differ in nothing else, as ImageNet's Cardigan and cardigan. */
function indexOfLabel(labels: readonly string[], wanted: string): number {
  const exact = labels.indexOf(wanted);
  if (exact >= 0) {
    const again = labels.indexOf(wanted, exact + 1);
    if (again >= 0)
      throw new UsageError(`class "${wanted}" is the name of several classes; give the index, ${exact} or ${again}`);
    return exact;
  }
  return labels.findIndex((label) => label.toLowerCase() === wanted.toLowerCase());
}

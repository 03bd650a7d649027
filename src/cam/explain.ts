import { Tape } from '../autograd/tape.ts';
import { InputError, UsageError } from '../errors.ts';
import { deviceOf, softmax, tensor, transpose } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import { Scope } from '../tensor/scope.ts';
import { at, formatShape } from '../tensor/shape.ts';
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
} from './algorithm.ts';
import { referenceMaps } from './reference.ts';

export const MODES = ['paper', 'reference'] as const;
/** `paper`: equations 1 to 6. `reference`: what the authors' library computes (see `reference.ts`). */
export type Mode = (typeof MODES)[number];

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

/** What `explainTensor` found out. The steps are tensors on the device: read them with `data()`, then `dispose()`. */
export class Explanation {
  readonly layer: string;
  readonly mode: Mode;
  readonly activation: Activation;
  /** For each image, the explained classes in order. */
  readonly classes: readonly (readonly ExplainedClass[])[];
  readonly steps: Steps;
  readonly #scope: Scope;

  constructor(fields: Pick<Explanation, 'layer' | 'mode' | 'activation' | 'classes' | 'steps'>, scope: Scope) {
    this.layer = fields.layer;
    this.mode = fields.mode;
    this.activation = fields.activation;
    this.classes = fields.classes;
    this.steps = fields.steps;
    this.#scope = scope;
  }

  /** The fused maps [N,K,I,J] of the chosen mode. */
  get maps(): Tensor {
    return this.steps.reference ?? this.steps.fm_g_cam;
  }

  dispose(): void {
    this.#scope.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * FM-G-CAM and Grad-CAM of a batch that is prepared already: one forward pass, with a tape from the explained layer on,
 * and one backward pass for the K classes of all images.
 *
 * @param input [N,3,H,W], on the device that shall do the work
 * @throws UsageError for options that this model cannot meet; InputError when the network does not return numbers
 */
export async function explainTensor(model: Model, input: Tensor, options: ExplainOptions = {}): Promise<Explanation> {
  const { layer = model.architecture.layer, mode = 'paper', activation = 'relu' } = options;
  if (!MODES.includes(mode)) throw new UsageError(`mode "${mode}" is unknown; use ${MODES.join(' or ')}`);
  if (!ACTIVATIONS.includes(activation)) {
    throw new UsageError(`activation "${activation}" is unknown; use ${ACTIVATIONS.join(', ')}`);
  }
  const chosen = chosenClasses(model, options);
  const scope = new Scope();
  try {
    const { logits, probs, activations, gradientsOf, free } = observedForward(model, scope.enter(input), layer, scope);
    let classes: ExplainedClass[][];
    let gradients: Tensor;
    try {
      classes = classesOf(model, await logits.data(), await probs.data(), chosen, options.topK);
      gradients = gradientsOf(classes.map((ofImage) => ofImage.map(({ index }) => index)));
    } finally {
      free();
    }

    const alpha = channelImportance(gradients);
    const R = classMaps(alpha, activations);
    const S = filterMaximum(R);
    const S_normalised = normalise(fuse([S]));
    const steps: Steps = {
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
    return new Explanation({ layer, mode, activation, classes, steps }, scope);
  } catch (error) {
    scope.dispose();
    throw error;
  }
}

/** A forward pass that keeps the layer's output and everything that is needed to come back to it. */
export function observedForward(model: Model, input: Tensor, layer: string, scope: Scope) {
  const tape = new Tape();
  try {
    let target: Tensor | undefined;
    let activations: Tensor | undefined;
    const recorded = model.forward(input, {
      // A module that runs several times in a forward pass is explained at its last run, the one that a PyTorch hook keeps.
      [layer]: (output) => {
        activations?.dispose();
        activations = output.alias({ scope, recorder: undefined });
        target = tape.watch(output);
        return target;
      },
    });
    if (!target || !activations)
      throw new UsageError(`layer "${layer}" does not run in this network's forward pass; choose another`);
    if (activations.rank !== 4) {
      throw new UsageError(
        `layer "${layer}" returns ${formatShape(activations.shape)}, which is no feature map [N,C,I,J]; choose a convolutional layer, such as ${model.architecture.layer}`,
      );
    }
    const logits = recorded.alias({ scope, recorder: undefined });
    const explained = target;
    return {
      logits,
      probs: softmax(logits, 1),
      activations,
      /** [N,K,C,I,J] for the classes of each image */
      gradientsOf: (classes: readonly (readonly number[])[]): Tensor => {
        const [gradients] = tape.vjp(recorded, oneHot(classes, logits), [explained]);
        if (!gradients) throw new RangeError('vjp returns a gradient for each target');
        return transpose(gradients, [1, 0, 2, 3, 4]);
      },
      free: () => tape.dispose(),
    };
  } catch (error) {
    tape.dispose();
    throw error;
  }
}

/** Cotangents [K,N,classes], in the scope of the logits, that pick logit `classes[n][k]` of image n as score k. */
export function oneHot(classes: readonly (readonly number[])[], logits: Tensor): Tensor {
  const [N = 1, count = 1] = logits.shape;
  const K = at(classes, 0).length;
  const values = new Float32Array(K * N * count);
  for (const [n, ofImage] of classes.entries()) {
    for (const [k, index] of ofImage.entries()) values[(k * N + n) * count + index] = 1;
  }
  return tensor(deviceOf(logits), values, [K, N, count], { scope: logits.scope });
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

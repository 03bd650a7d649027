import { tensor } from '../kernels/create.ts';
import { deviceOf } from '../kernels/device.ts';
import { argmax, slice, sub, topk } from '../kernels/index.ts';
import type { Model } from '../nn/model.ts';
import { Scope, tidy } from '../tensor/scope.ts';
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
} from './algorithm.ts';
import {
  chosenClasses,
  classesOf,
  type ExplainedClass,
  type ExplainOptions,
  type Explanation,
  type Steps,
} from './explain.ts';
import { observedForward } from './observe.ts';
import { cumulativeImportance, firstMaximum, minMax, normaliseRows } from './reference.ts';

interface Description {
  /** The number of the paper's equation, for steps that are one. */
  readonly equation?: number;
  /** The equation in plain text. */
  readonly formula: string;
  /** The function of this library that computed the tensor. */
  readonly computedBy: string;
}

/* N images, K classes, C channels of the target layer, I x J its pixels. */
const DESCRIPTIONS = {
  input: { formula: 'x: the prepared image, [N,3,H,W]', computedBy: 'preprocess' },
  activations: { formula: 'a[c]: what the target layer returns, [N,C,I,J]', computedBy: 'Model.forward' },
  logits: { formula: 'y[n]: the score of each class, [N,classes]', computedBy: 'Model.forward' },
  probs: { formula: 'P(n) = exp(y[n]) / sum over m of exp(y[m])', computedBy: 'softmax' },
  top: { equation: 1, formula: 'N* = {n[k]}: P(n[1]) >= ... >= P(n[K])', computedBy: 'topClasses' },
  gradients: { formula: 'd y[k] / d a[c,i,j], [N,K,C,I,J]', computedBy: 'Tape.vjp' },
  alpha: {
    equation: 2,
    formula: 'alpha[k,c] = 1/(I J) sum over i,j of d y[k] / d a[c,i,j]',
    computedBy: 'channelImportance',
  },
  R: { equation: 3, formula: 'R[k] = 1/C sum over c of alpha[k,c] a[c]', computedBy: 'classMaps' },
  winner: {
    equation: 4,
    formula: 'the first k for which R[k,i,j] is the maximum over k, [N,1,I,J]',
    computedBy: 'winner',
  },
  margin: {
    equation: 4,
    formula: 'the largest R[k,i,j] over k, less the second largest, [N,1,I,J]',
    computedBy: 'margin',
  },
  S: {
    equation: 4,
    formula: 'S[k,i,j] = R[k,i,j] where it is the maximum over k, else 0',
    computedBy: 'filterMaximum',
  },
  S_fused: { equation: 5, formula: "S' = [S[1] ... S[K]]", computedBy: 'fuse' },
  S_normalised: { equation: 6, formula: "S' / ||S'||_2, one norm over all of S'", computedBy: 'normalise' },
  fm_g_cam_relu: { equation: 6, formula: "ReLU(S' / ||S'||_2)", computedBy: 'activate' },
  fm_g_cam_elu: { equation: 6, formula: "ELU(S' / ||S'||_2)", computedBy: 'activate' },
  fm_g_cam_gelu: { equation: 6, formula: "GELU(S' / ||S'||_2)", computedBy: 'activate' },
  unnormalised: { formula: "the activation of S' itself: equation 6 without its norm", computedBy: 'activate' },
  grad_cam: { formula: 'ReLU(sum over c of alpha[k,c] a[c]), each class for itself', computedBy: 'gradCam' },
  reference_alpha: {
    formula: 'in place of alpha[k,c]: alpha[1,c] alpha[2,c] ... alpha[k,c]',
    computedBy: 'cumulativeImportance',
  },
  reference_R: { formula: 'equation 3 with those products', computedBy: 'classMaps' },
  reference_winner: { formula: 'the first k for which that is the maximum over k', computedBy: 'winner' },
  reference_margin: { formula: 'the largest of it over k, less the second largest', computedBy: 'margin' },
  reference_S: { formula: 'equation 4 by argmax: of classes that tie, the first', computedBy: 'firstMaximum' },
  reference_S_normalised: {
    formula: "S'[k,i,j] / max(||S'[k,.,j]||_2, 1e-12): a norm for each class and column",
    computedBy: 'normaliseRows',
  },
  reference_activated: { formula: 'the activation of that', computedBy: 'activate' },
  reference_relu: {
    formula: '(s - min) / (max - min) of s = ReLU(...), over all classes and pixels',
    computedBy: 'minMax',
  },
  reference_elu: { formula: '(s - min) / (max - min) of s = ELU(...)', computedBy: 'minMax' },
  reference_gelu: { formula: '(s - min) / (max - min) of s = GELU(...)', computedBy: 'minMax' },
  reference_no_enhance: { formula: 'the same without the norms of columns', computedBy: 'minMax' },
} as const satisfies Record<string, Description>;

export type StepName = keyof typeof DESCRIPTIONS;

/** One step of Algorithm 1. */
export interface TraceStep extends Description {
  readonly name: StepName;
  /** With a leading axis of N images; freed when the trace ends. `data()` copies its values to the host. */
  readonly tensor: Tensor;
  /** Of the step `top`: for each image, the explained classes. */
  readonly classes?: readonly (readonly ExplainedClass[])[];
}

export type TraceOptions = Omit<ExplainOptions, 'mode'>;

/**
 * Algorithm 1 step by step, in both modes: each tensor is computed, by the function that `explainTensor` uses, when it
 * is asked for, and not before. (The forward pass makes activations, logits and probabilities at once.) The order is
 * that of `StepName`; of one class there is no margin. All tensors are freed when the trace ends, also when the consumer
 * leaves its loop early: read what is needed inside of the loop.
 *
 * @param input [N,3,H,W], on the device that shall do the work
 * @throws UsageError for options that this model cannot meet; InputError when the network does not return numbers
 */
export async function* trace(
  model: Model,
  input: Tensor,
  options: TraceOptions = {},
): AsyncGenerator<TraceStep, void, undefined> {
  const { layer = model.architecture.layer, activation } = options;
  const chosen = chosenClasses(model, options);
  const scope = new Scope();
  let free = () => {};
  try {
    const x = scope.enter(input);
    yield step('input', x);
    const pass = observedForward(model, x, layer, scope);
    free = pass.free;
    const { logits, probs } = pass;
    yield* steps({
      ...pass,
      activation,
      classes: async () => classesOf(model, await logits.data(), await probs.data(), chosen, options.topK),
      gradients: (classes) => pass.gradientsOf({ classes }),
    });
  } finally {
    free();
    scope.dispose();
  }
}

/**
 * The same steps of what is explained already: the network does not run again.
 * @param input what went into the network, [N,3,H,W]
 * @throws UsageError for an explanation that has no steps
 */
export async function* traceOf(explanation: Explanation, input: Tensor): AsyncGenerator<TraceStep, void, undefined> {
  const scope = new Scope();
  try {
    yield step('input', scope.enter(input));
    const { activations, logits, probs, gradients } = explanation.steps;
    yield* steps({
      activations: scope.enter(activations),
      logits: scope.enter(logits),
      probs: scope.enter(probs),
      activation: explanation.activation,
      classes: async () => explanation.classes,
      gradients: () => scope.enter(gradients),
    });
  } finally {
    scope.dispose();
  }
}

/** What the network did, in the scope of the trace. */
interface Beginning extends Pick<Steps, 'activations' | 'logits' | 'probs'> {
  readonly activation: Activation | undefined;
  readonly classes: () => Promise<readonly (readonly ExplainedClass[])[]>;
  /** [N,K,C,I,J] */
  readonly gradients: (classes: readonly (readonly number[])[]) => Tensor;
}

async function* steps(beginning: Beginning): AsyncGenerator<TraceStep, void, undefined> {
  const { activations, logits, probs, activation = 'relu' } = beginning;
  yield step('activations', activations);
  yield step('logits', logits);
  yield step('probs', probs);
  const classes = await beginning.classes();
  const indices = classes.map((ofImage) => ofImage.map(({ index }) => index));
  const K = at(indices, 0).length;
  const { scope } = activations;
  const top = tensor(deviceOf(activations), Int32Array.from(indices.flat()), [indices.length, K], { scope });
  yield { ...step('top', top), classes };
  const gradients = beginning.gradients(indices);
  yield step('gradients', gradients);

  const alpha = channelImportance(gradients);
  yield step('alpha', alpha);
  const R = classMaps(alpha, activations);
  yield step('R', R);
  yield step('winner', winner(R));
  if (K > 1) yield step('margin', margin(R));
  const S = filterMaximum(R);
  yield step('S', S);
  const fused = fuse([S]);
  yield step('S_fused', fused);
  const normalised = normalise(fused);
  yield step('S_normalised', normalised);
  for (const name of ACTIVATIONS) yield step(`fm_g_cam_${name}`, activate(normalised, name));
  yield step('unnormalised', activate(fused, activation));
  yield step('grad_cam', gradCam(alpha, activations));

  const products = cumulativeImportance(alpha);
  yield step('reference_alpha', products);
  const reference = classMaps(products, activations);
  yield step('reference_R', reference);
  yield step('reference_winner', winner(reference));
  if (K > 1) yield step('reference_margin', margin(reference));
  const kept = firstMaximum(reference);
  yield step('reference_S', kept);
  const ofColumns = normaliseRows(kept);
  yield step('reference_S_normalised', ofColumns);
  yield step('reference_activated', activate(ofColumns, activation));
  for (const name of ACTIVATIONS) yield step(`reference_${name}`, minMax(activate(ofColumns, name)));
  yield step('reference_no_enhance', minMax(activate(kept, activation)));
}

function step(name: StepName, tensor: Tensor): TraceStep {
  return { name, ...DESCRIPTIONS[name], tensor };
}

/** The class that wins each pixel: the position of the maximum over K, of equals the first. [N,K,I,J] to [N,1,I,J] */
export function winner(R: Tensor): Tensor {
  return argmax(R, 1, true);
}

/** By how much it wins: the largest value over K, less the second largest. [N,K,I,J] with K > 1 to [N,1,I,J] */
export function margin(R: Tensor): Tensor {
  return tidy([R], (R) => {
    const { values } = topk(R, 2, 1);
    const [N = 1, , I = 1, J = 1] = values.shape;
    return sub(slice(values, [0, 0, 0, 0], [N, 1, I, J]), slice(values, [0, 1, 0, 0], [N, 2, I, J]));
  });
}

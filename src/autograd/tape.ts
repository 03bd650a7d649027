import { UsageError } from '../errors.ts';
import { full } from '../kernels/create.ts';
import { deviceOf } from '../kernels/device.ts';
import type { GradientRule } from '../kernels/gradient.ts';
import { gradientRules } from '../kernels/gradients.ts';
import { add } from '../kernels/pointwise/index.ts';
import { select } from '../kernels/view/index.ts';
import { innermostScope, Scope, tidy } from '../tensor/scope.ts';
import { formatShape, sameShape } from '../tensor/shape.ts';
import type { RecordedCall, Recorder, Tensor } from '../tensor/tensor.ts';

/** For each op, how what came back to its outputs goes on to its inputs: the gradient, or what takes its place. */
export type BackwardRules = typeof gradientRules;

/** One recorded op. The tensors are aliases of the tape's own, so that callers may dispose of theirs. */
interface Node {
  readonly op: string;
  readonly attributes: unknown;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** For each input, the number of the value that it is, or undefined where it was not watched. */
  readonly sources: readonly (number | undefined)[];
  readonly results: readonly number[];
}

/** The state of one walk back. */
interface Walk {
  readonly rules: BackwardRules;
  /** The values that depend on the targets. */
  readonly needed: ReadonlySet<number>;
  readonly targets: ReadonlySet<number>;
  /** By value, what has come back to it so far. */
  readonly gradients: Map<number, Tensor>;
}

/**
 * Records what is computed from the watched tensors, and nothing before them. Values are numbered as they come up, so the
 * order of recording is a topological order, and the walk back is the reverse of it.
 */
export class Tape implements Recorder {
  readonly #nodes: Node[] = [];
  /** By the identity of the tensors, so that all handles on a value have its number. */
  readonly #values = new WeakMap<object, number>();
  #count = 0;

  /** A handle on `tensor` with respect to which derivatives can be asked for; compute from it, not from the original. */
  watch(tensor: Tensor): Tensor {
    const watched = tensor.alias({ recorder: this });
    this.#numberOf(watched);
    return watched;
  }

  record({ op, attributes, inputs, outputs }: RecordedCall): void {
    const save = (tensor: Tensor) => tensor.alias({ scope: undefined, recorder: undefined });
    const sources = inputs.map((input) => (input.recorder === this ? this.#numberOf(input) : undefined));
    const results = outputs.map((output) => this.#numberOf(output));
    this.#nodes.push({ op, attributes, inputs: inputs.map(save), outputs: outputs.map(save), sources, results });
  }

  /**
   * The derivatives of K scores with respect to watched tensors, in one walk back. Only ops that lie between the targets
   * and the output are visited.
   *
   * @param output what the scores are functions of, for example logits [N, classes]
   * @param cotangents [K, ...output shape]: the derivative of each score with respect to the output
   * @param watched the targets: tensors that `watch` returned
   * @param rules others than those of the gradient, for what is not a derivative (guided backpropagation, relevance)
   * @returns for each target [K, ...target shape]
   * @throws UsageError when the output does not depend on a target
   */
  vjp(output: Tensor, cotangents: Tensor, watched: readonly Tensor[], rules: BackwardRules = gradientRules): Tensor[] {
    if (!sameShape(cotangents.shape.slice(1), output.shape)) {
      throw new UsageError(
        `vjp: cotangents ${formatShape(cotangents.shape)} must be [K, ...${formatShape(output.shape)}], the shape of the output behind the number of scores`,
      );
    }
    const root = this.#find(output, 'the output');
    const wanted = watched.map((target) => this.#find(target, 'a target'));
    const needed = this.#reachable(wanted);
    if (wanted.some((value) => !needed.has(value)) || !needed.has(root)) throw notConnected();

    const gradients = new Map<number, Tensor>([[root, cotangents.alias({ recorder: undefined })]]);
    try {
      const walk = { rules, needed, targets: new Set(wanted), gradients };
      for (const node of this.#nodes.toReversed()) this.#step(node, walk);
      return wanted.map((value) => {
        const gradient = gradients.get(value);
        if (!gradient) throw notConnected();
        return gradient.alias({ scope: innermostScope([output, cotangents]) });
      });
    } finally {
      for (const gradient of gradients.values()) gradient.dispose();
    }
  }

  /** Lets go of everything that was recorded. */
  dispose(): void {
    for (const { inputs, outputs } of this.#nodes.splice(0)) {
      for (const tensor of [...inputs, ...outputs]) tensor.dispose();
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #numberOf(tensor: Tensor): number {
    let value = this.#values.get(tensor.identity);
    if (value === undefined) {
      value = this.#count++;
      this.#values.set(tensor.identity, value);
    }
    return value;
  }

  #find(tensor: Tensor, what: string): number {
    const value = this.#values.get(tensor.identity);
    if (value === undefined) throw new UsageError(`vjp: ${what} is not on this tape: ${notConnected().message}`);
    return value;
  }

  /** The values that depend on the targets. */
  #reachable(targets: readonly number[]): Set<number> {
    const reachable = new Set(targets);
    for (const { sources, results } of this.#nodes) {
      if (sources.some((source) => source !== undefined && reachable.has(source))) {
        for (const result of results) reachable.add(result);
      }
    }
    return reachable;
  }

  #step(node: Node, { rules, needed, targets, gradients }: Walk): void {
    if (!node.results.some((result) => gradients.has(result))) return;
    const incoming = node.results.map((result) => gradients.get(result));
    const asked = node.sources.map((source) => (source !== undefined && needed.has(source) ? source : undefined));
    if (asked.every((source) => source === undefined)) return;

    // Everything that the rule sees is entered into a scope of this step, so that all it computes on the way is freed.
    const scope = new Scope(innermostScope(incoming.filter((gradient) => gradient !== undefined)));
    const enter = (tensor: Tensor) => scope.enter(tensor);
    const answers: [value: number, gradient: Tensor][] = [];
    try {
      const thunks = ruleOf(
        node.op,
        rules,
      )({
        inputs: node.inputs.map(enter),
        outputs: node.outputs.map(enter),
        attributes: node.attributes as never,
        cotangents: incoming.map((gradient) => gradient && enter(gradient)),
      });
      for (const [i, source] of asked.entries()) {
        const gradient = source === undefined ? undefined : thunks[i]?.();
        if (source !== undefined && gradient) answers.push([source, gradient.alias()]);
      }
      for (const [, gradient] of answers) scope.keep(gradient);
    } finally {
      scope.dispose();
    }
    for (const result of node.results) {
      if (targets.has(result)) continue;
      gradients.get(result)?.dispose();
      gradients.delete(result);
    }
    for (const [value, gradient] of answers) accumulate(gradients, value, gradient);
  }
}

function accumulate(gradients: Map<number, Tensor>, value: number, gradient: Tensor): void {
  const before = gradients.get(value);
  if (!before) {
    gradients.set(value, gradient);
    return;
  }
  gradients.set(value, add(before, gradient));
  before.dispose();
  gradient.dispose();
}

function ruleOf(op: string, rules: Readonly<Record<string, GradientRule<never>>>): GradientRule<never> {
  const rule = rules[op];
  if (!rule) throw new RangeError(`op ${op} has no entry in the table of gradients`);
  return rule;
}

function notConnected(): UsageError {
  return new UsageError(
    'the score is not connected to the target layer; choose a layer that lies between the image and the logits',
  );
}

/**
 * f(inputs) and the vector-Jacobian products of K cotangents with respect to every input.
 * @param cotangents given the output, [K, ...output shape]
 * @returns the output, and for each input [K, ...input shape]
 */
export function vjp(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  cotangents: (output: Tensor) => Tensor,
): { readonly output: Tensor; readonly gradients: Tensor[] } {
  const tape = new Tape();
  try {
    const [output, ...gradients] = tidy(inputs, (...aliases) => {
      const watched = aliases.map((input) => tape.watch(input));
      const result = f(...watched);
      return [result.alias({ recorder: undefined }), ...tape.vjp(result, cotangents(result), watched)];
    });
    if (!output) throw new RangeError('vjp lost its output');
    return { output, gradients };
  } finally {
    tape.dispose();
  }
}

/**
 * The gradient of a scalar function with respect to each of its inputs.
 * @throws UsageError when f does not return one number
 */
export function grad(f: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): Tensor[] {
  const one = (output: Tensor) => {
    if (output.size !== 1)
      throw new UsageError(`grad: the function must return one number, not ${formatShape(output.shape)}; use vjp`);
    return full(deviceOf(output), [1, ...output.shape], 1, output.scope);
  };
  const { output, gradients } = vjp(f, inputs, one);
  output.dispose();
  return gradients.map((gradient) => {
    const single = select(gradient, 0, 0);
    gradient.dispose();
    return single;
  });
}

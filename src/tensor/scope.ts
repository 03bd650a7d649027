import type { Tensor } from './tensor.ts';

/**
 * A set of tensors that are freed together. A tensor computed from a tensor of a scope belongs to that scope (to the
 * innermost one, when there are several), so scopes need no global state and may be open across `await`, many at a time.
 */
export class Scope {
  readonly depth: number;
  readonly #parent: Scope | undefined;
  readonly #tensors = new Set<Tensor>();

  constructor(parent?: Scope) {
    this.#parent = parent;
    this.depth = parent ? parent.depth + 1 : 0;
  }

  /** Called by every tensor that is made in this scope. */
  add(tensor: Tensor): void {
    this.#tensors.add(tensor);
  }

  remove(tensor: Tensor): void {
    this.#tensors.delete(tensor);
  }

  /** A second handle on the same values, which belongs to this scope: what is computed from it is freed with the scope. */
  enter(tensor: Tensor): Tensor {
    return tensor.alias({ scope: this });
  }

  /** Moves a tensor out, to the surrounding scope or to nobody: it survives this scope. */
  keep<T extends Tensor>(tensor: T): T {
    if (tensor.scope === this) tensor.moveTo(this.#parent);
    return tensor;
  }

  dispose(): void {
    for (const tensor of [...this.#tensors]) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The innermost of the scopes of these tensors. */
export function innermostScope(tensors: readonly Tensor[]): Scope | undefined {
  let innermost: Scope | undefined;
  for (const { scope } of tensors) {
    if (scope && (!innermost || scope.depth >= innermost.depth)) innermost = scope;
  }
  return innermost;
}

/** As many tensors as there are inputs. */
type Aliases<Inputs extends readonly Tensor[]> = { -readonly [I in keyof Inputs]: Tensor };

/**
 * Runs `compute` on aliases of `inputs` and frees everything that was computed on the way, except what it returns.
 * @returns what `compute` returns, in the scope of the inputs (or in none)
 */
export function tidy<const Inputs extends readonly Tensor[], Result extends Tensor | readonly Tensor[]>(
  inputs: Inputs,
  compute: (...aliases: Aliases<Inputs>) => Result,
): Result {
  const scope = new Scope(innermostScope(inputs));
  try {
    const aliases = inputs.map((tensor) => scope.enter(tensor)) as readonly Tensor[] as Aliases<Inputs>;
    const result = compute(...aliases);
    for (const tensor of Array.isArray(result) ? result : [result]) scope.keep(tensor);
    return result;
  } finally {
    scope.dispose();
  }
}

/** Opens a scope for an async function and frees what is left in it when the function has settled, also when it throws. */
export async function withScope<Result>(compute: (scope: Scope) => Promise<Result> | Result): Promise<Result> {
  const scope = new Scope();
  try {
    return await compute(scope);
  } finally {
    scope.dispose();
  }
}

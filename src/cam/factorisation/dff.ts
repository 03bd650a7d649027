import { UsageError } from '../../errors.ts';
import { deviceOf, relu, reshape, tensor, transpose } from '../../kernels/index.ts';
import { at } from '../../tensor/shape.ts';
import { atLayer } from '../activation/at-layer.ts';
import { type Method, type MethodCall, throwIfAborted } from '../method.ts';
import { requireCount } from '../options.ts';
import { pause } from '../passes.ts';
import { type Factors, type Matrix, nonNegativeFactors } from './nmf.ts';

export interface DffOptions {
  /** How many concepts to look for; as many as there are classes to explain, or fewer where the layer is smaller, when left out. */
  readonly concepts?: number;
  /** Rounds of the factorisation; 200 when left out. */
  readonly steps?: number;
}

/**
 * Deep feature factorisation (Collins, Achanta and Susstrunk 2018, arXiv:1806.10206, equation 2): the activations of all
 * pixels, [N I J, C], are about W H without negative values; concept m has the channels H[m] and is at the pixels W[., m].
 * It asks for no class and no gradient. Images of a batch are factorised together and share the concepts, as in the paper.
 *
 * What is negative at the layer counts as 0: choose one behind a ReLU. The factorisation is a local optimum, and
 * implementations differ in where they begin: here with the pixels that are farthest apart, without chance. Concepts come in
 * the order of their strength, ||W[., m]|| with ||H[m]|| = 1.
 * @returns [N,concepts,I,J], not negative
 * @throws UsageError for options out of range, and more concepts than channels or pixels; the signal's reason when cancelled
 */
export function dff(options: DffOptions = {}): Method {
  const { concepts, steps = 200 } = options;
  if (concepts !== undefined) requireCount('concepts', concepts);
  requireCount('steps', steps);
  return (call) =>
    atLayer(call, async ({ activations }, call, scope) => {
      const [N = 1, C = 1, I = 1, J = 1] = activations.shape;
      const most = Math.min(C, N * I * J);
      const parts = concepts ?? Math.min(at(call.classes, 0).length, most);
      if (parts > most)
        throw new UsageError(
          `concepts ${parts} is out of range: ${N * I * J} pixels of ${C} channels have at most ${most}; use fewer`,
        );
      const pixels = reshape(transpose(relu(activations), [0, 2, 3, 1]), [N * I * J, C]);
      const X = { data: await pixels.data(), rows: N * I * J, columns: C };
      const { W } = await factorise(X, parts, steps, call);
      const maps = tensor(deviceOf(activations), Float32Array.from(W), [N, I, J, parts], { scope });
      return transpose(maps, [0, 3, 1, 2]);
    });
}

async function factorise(X: Matrix, parts: number, steps: number, call: MethodCall): Promise<Factors> {
  const rounds = nonNegativeFactors(X, parts);
  let factors = rounds.next().value;
  call.progress?.(1, steps);
  for (let step = 2; step <= steps; step++) {
    throwIfAborted(call);
    factors = rounds.next().value;
    call.progress?.(step, steps);
    await pause();
  }
  return factors;
}

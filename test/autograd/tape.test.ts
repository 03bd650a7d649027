import { afterEach, describe, expect, it, vi } from 'vitest';
import { gradcheck } from '../../src/autograd/gradcheck.ts';
import { grad, Tape, vjp } from '../../src/autograd/tape.ts';
import { InputError, UsageError } from '../../src/errors.ts';
import type { GradientRule } from '../../src/kernels/gradient.ts';
import { gradientRules } from '../../src/kernels/gradients.ts';
import { add, exp, matmul, max, mul, relu, scalar, sum, tensor, topk } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray } from '../support/random-model.ts';

const NOT_CONNECTED =
  'the score is not connected to the target layer; choose a layer that lies between the image and the logits';

describeDevice('autograd', (device) => {
  afterEach(() => {
    vi.restoreAllMocks();
    expect(device().memory().blocks, 'blocks left on the device').toBe(0);
  });

  const upload = (scope: Scope, values: number[], shape = [values.length]) =>
    tensor(device(), values, shape, { scope });
  const ones = (scope: Scope, shape: readonly number[]) =>
    tensor(device(), new Float32Array(sizeOf(shape)).fill(1), shape, { scope });
  const read = async (x: Tensor | undefined) => Array.from((await x?.data()) ?? []);
  /** The result of `f`, and how many kernels it ran. */
  const counted = <T>(f: () => T): [result: T, kernels: number] => {
    const spy = vi.spyOn(device(), 'run');
    const result = f();
    return [result, spy.mock.calls.length];
  };

  describe('vjp of a tape', () => {
    it('adds up what comes back to a value that is used twice', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, -2, 3]));
      const y = add(mul(x, x), x);
      expect(await read(tape.vjp(y, ones(scope, [1, 3]), [x])[0])).toEqual([3, -3, 7]);
    });

    it('gives the derivatives with respect to several targets, one behind the other', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const a = tape.watch(upload(scope, [2, 3]));
      const b = tape.watch(upload(scope, [5, 7]));
      const product = mul(a, b);
      const y = mul(product, product);
      const gradients = tape.vjp(y, ones(scope, [1, 2]), [b, product, a]);
      // 2 a^2 b, 2 a b, 2 a b^2
      expect(await Promise.all(gradients.map(read))).toEqual([
        [40, 126],
        [20, 42],
        [100, 294],
      ]);
    });

    it('the derivative of the output with respect to itself is the cotangent', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [2, 3]));
      expect(await read(tape.vjp(x, upload(scope, [5, 7], [1, 2]), [x])[0])).toEqual([5, 7]);
    });

    it('K cotangents at once are K single ones', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const values = (seed: number, shape: number[]) => tensor(device(), randomArray(seed, shape), shape, { scope });
      const x = tape.watch(values(1, [3, 4]));
      const y = relu(matmul(mul(x, x), values(2, [4, 5])));
      const K = 3;
      const cotangents = randomArray(3, [K, 3, 5]);
      const together = await read(tape.vjp(y, tensor(device(), cotangents, [K, 3, 5], { scope }), [x])[0]);
      expect(together.length).toBe(K * 12);
      for (let k = 0; k < K; k++) {
        const single = tensor(device(), cotangents.slice(15 * k, 15 * (k + 1)), [1, 3, 5], { scope });
        const [gradient] = tape.vjp(y, single, [x]);
        expectClose(together.slice(12 * k, 12 * (k + 1)), await read(gradient), TOLERANCE);
      }
    });

    it('runs nothing for ops that lie before the target, beside it, or behind the output', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, 2]));
      const before = exp(exp(exp(x)));
      const target = relu(before);
      const beside = exp(exp(exp(x)));
      const y = add(mul(target, target), beside);
      exp(exp(y));
      const cotangents = ones(scope, [1, 2]);
      // Of `mul`: one product for each factor, and their sum; `add` hands the cotangent on.
      const [, kernels] = counted(() => tape.vjp(y, cotangents, [target]));
      expect(kernels).toBe(3);
    });

    it('visits each op of a residual network once', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1]));
      const depth = 40;
      let y = x;
      for (let i = 0; i < depth; i++) y = add(y, y);
      const [[gradient], kernels] = counted(() => tape.vjp(y, ones(scope, [1, 1]), [x]));
      expect(kernels).toBe(depth);
      expect(await read(gradient)).toEqual([2 ** depth]);
    });

    it('records nothing that does not come from a watched tensor', () => {
      using scope = new Scope();
      using tape = new Tape();
      const record = vi.spyOn(tape, 'record');
      const x = upload(scope, [1, 2]);
      const watched = tape.watch(exp(x));
      relu(exp(x));
      expect(record).not.toHaveBeenCalled();
      relu(watched);
      expect(record).toHaveBeenCalledTimes(1);
    });

    it('hands a tensor of the outside through in either order of operands', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [2, 3]));
      const constant = upload(scope, [5, 7]);
      const y = mul(constant, mul(x, constant));
      expect(await read(tape.vjp(y, ones(scope, [1, 2]), [x])[0])).toEqual([25, 49]);
    });

    it('takes an op whose second result is not used', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, 4, 3]));
      const { values } = topk(x, 2);
      expect(await read(tape.vjp(values, upload(scope, [10, 20], [1, 2]), [x])[0])).toEqual([0, 10, 20]);
    });

    it('goes back by other rules than the gradient where it is given them', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, -2]));
      const y = sum(relu(x));
      const back: GradientRule<unknown> = ({ inputs: [input] }) => [() => ones(scope, [1, ...(input?.shape ?? [])])];
      const rules = { ...gradientRules, pointwise: back };
      expect(await read(tape.vjp(y, ones(scope, [1]), [x], rules)[0])).toEqual([1, 1]);
      expect(await read(tape.vjp(y, ones(scope, [1]), [x])[0])).toEqual([1, 0]);
    });

    it('can be asked twice, and after its tensors were disposed of', async () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, 2]));
      const squares = mul(x, x);
      const y = mul(squares, x);
      squares.dispose();
      x.dispose();
      for (let i = 0; i < 2; i++) expect(await read(tape.vjp(y, ones(scope, [1, 2]), [x])[0])).toEqual([3, 12]);
    });
  });

  describe('refuses', () => {
    it('a target that the output does not depend on', () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1]));
      const other = tape.watch(upload(scope, [1]));
      expect(() => tape.vjp(exp(x), ones(scope, [1, 1]), [other])).toThrow(new UsageError(NOT_CONNECTED));
      expect(() => tape.vjp(exp(x), ones(scope, [1, 1]), [x, other])).toThrow(new UsageError(NOT_CONNECTED));
    });

    it('a path through an op that has no derivative', () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, 2]));
      const { indices } = topk(x, 1);
      expect(() => tape.vjp(indices, ones(scope, [1, 1]), [x])).toThrow(new UsageError(NOT_CONNECTED));
    });

    it('tensors that were never on the tape', () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = upload(scope, [1]);
      const watched = tape.watch(x);
      const not = (what: string) => new UsageError(`vjp: ${what} is not on this tape: ${NOT_CONNECTED}`);
      expect(() => tape.vjp(exp(watched), ones(scope, [1, 1]), [x])).toThrow(not('a target'));
      expect(() => tape.vjp(exp(x), ones(scope, [1, 1]), [watched])).toThrow(not('the output'));
    });

    it('cotangents of another shape', () => {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(upload(scope, [1, 2]));
      const y = exp(x);
      const message = 'vjp: cotangents [2] must be [K, ...[2]], the shape of the output behind the number of scores';
      expect(() => tape.vjp(y, ones(scope, [2]), [x])).toThrow(new UsageError(message));
    });

    it('an op between two tapes', () => {
      using scope = new Scope();
      using first = new Tape();
      using second = new Tape();
      const x = upload(scope, [1]);
      expect(() => add(first.watch(x), second.watch(x))).toThrow(
        new UsageError('tensors of two different tapes meet in one op; finish one gradient before the next'),
      );
    });

    it('the gradient of more than one number', () => {
      using scope = new Scope();
      expect(() => grad(exp, [upload(scope, [1, 2])])).toThrow(
        new UsageError('grad: the function must return one number, not [2]; use vjp'),
      );
    });
  });

  it('a tape keeps what it recorded until it is disposed of', () => {
    using scope = new Scope();
    const tape = new Tape();
    const x = tape.watch(upload(scope, [1, 2]));
    const before = device().memory().blocks;
    exp(exp(x)).dispose();
    // The result of the inner exp is in the scope, that of the outer one on the tape only.
    expect(device().memory().blocks).toBe(before + 2);
    tape.dispose();
    expect(device().memory().blocks).toBe(before + 1);
  });

  it('an error in the middle leaves nothing behind', () => {
    using scope = new Scope();
    const x = upload(scope, [1, 2]);
    const before = device().memory().blocks;
    const fails = (x: Tensor) => {
      exp(mul(x, x));
      throw new InputError('on purpose');
    };
    expect(() => vjp(fails, [x], (output) => output)).toThrow('on purpose');
    expect(device().memory().blocks).toBe(before);
  });

  describe('vjp and grad of functions', () => {
    it('vjp returns the output and a gradient for each input', async () => {
      using scope = new Scope();
      const [a, b] = [upload(scope, [1, 2]), upload(scope, [3, 4])];
      const { output, gradients } = vjp(mul, [a, b], () => upload(scope, [1, 0, 0, 10], [2, 2]));
      expect(await read(output)).toEqual([3, 8]);
      expect(await Promise.all(gradients.map(read))).toEqual([
        [3, 0, 0, 40],
        [1, 0, 0, 20],
      ]);
    });

    it('grad has the shapes of the inputs', async () => {
      using scope = new Scope();
      const x = upload(scope, [1, 2, 3, 4], [2, 2]);
      const [gradient] = grad((x) => sum(mul(x, x)), [x]);
      expect(gradient?.shape).toEqual([2, 2]);
      expect(await read(gradient)).toEqual([2, 4, 6, 8]);
    });

    it('belong to the scope of the inputs', () => {
      const scope = new Scope();
      const [gradient] = grad((x) => sum(exp(x)), [upload(scope, [1])]);
      scope.dispose();
      expect(gradient?.disposed).toBe(true);
    });
  });

  describe('gradcheck', () => {
    // Each is wrong in its own way: half of the derivative, a factor that is left out, one input of two.
    const detached = (x: Tensor) => x.alias({ recorder: undefined });
    const wrong: [string, (a: Tensor, b: Tensor) => Tensor, number][] = [
      ['a square whose one factor is detached', (a, b) => add(mul(a, detached(a)), b), 0],
      ['a factor that depends on the input unseen', (a, b) => mul(mul(a, b), exp(detached(a))), 0],
      ['the second input, half detached', (a, b) => add(a, add(b, detached(b))), 1],
    ];
    it.each(wrong)('finds %s', async (_, f, input) => {
      using scope = new Scope();
      const inputs = [upload(scope, [0.5, -1, 0.75]), upload(scope, [1, 0.25, -0.5])];
      await expect(gradcheck(f, inputs)).rejects.toThrow(
        new RegExp(`^gradcheck: the gradient of input ${input} is off by \\S+ \\(relative L2; 0.01 allowed\\)$`),
      );
    });

    const right: [string, (a: Tensor, b: Tensor) => Tensor][] = [
      ['products and sums', (a, b) => add(mul(a, mul(a, b)), b)],
      ['broadcasting', (a, b) => mul(a, sum(b))],
      ['a maximum', (a, b) => mul(max(a), exp(b))],
    ];
    it.each(right)('accepts %s, and frees everything on the way', async (_, f) => {
      using scope = new Scope();
      const inputs = [upload(scope, [0.5, -1, 0.75]), upload(scope, [1, 0.25, -0.5])];
      const before = device().memory().blocks;
      const { errors } = await gradcheck(f, inputs);
      expect(errors.length).toBe(2);
      expect(Math.max(...errors)).toBeLessThan(1e-2);
      expect(device().memory().blocks).toBe(before);
    });

    it('needs an input', async () => {
      using scope = new Scope();
      await expect(gradcheck(() => scalar(device(), 1, scope), [])).rejects.toThrow(
        'gradcheck needs at least one input',
      );
    });
  });

  it('watching twice is watching once', async () => {
    using scope = new Scope();
    using tape = new Tape();
    const x = upload(scope, [3]);
    const watched = tape.watch(x);
    const again = tape.watch(watched);
    const gradients = tape.vjp(mul(watched, again), ones(scope, [1, 1]), [watched, again]);
    expect(await read(at(gradients, 0))).toEqual([6]);
    expect(await read(at(gradients, 1))).toEqual([6]);
  });
});

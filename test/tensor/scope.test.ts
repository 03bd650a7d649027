import { afterEach, describe, expect, it } from 'vitest';
import { CpuDevice } from '../../src/kernels/cpu/device.ts';
import { add, exp, mul, tensor, transpose } from '../../src/kernels/index.ts';
import { Scope, tidy, withScope } from '../../src/tensor/scope.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

const device = new CpuDevice();
const upload = (scope?: Scope): Tensor => tensor(device, [1, 2], [2], scope ? { scope } : {});
const blocks = () => device.memory().blocks;
const tick = () => new Promise((resolve) => setTimeout(resolve, 1));

afterEach(() => expect(blocks(), 'blocks left on the device').toBe(0));

describe('a scope', () => {
  it('frees what was made in it and what was computed from that', () => {
    const scope = new Scope();
    const x = upload(scope);
    const y = exp(add(x, x));
    expect(blocks()).toBe(3);
    scope.dispose();
    expect([x.disposed, y.disposed]).toEqual([true, true]);
  });

  it('leaves alone what was entered into it', () => {
    using x = upload();
    const scope = new Scope();
    const y = exp(scope.enter(x));
    scope.dispose();
    expect([x.disposed, y.disposed]).toEqual([false, true]);
  });

  it('lets go of what is kept', () => {
    const scope = new Scope();
    const kept = scope.keep(exp(upload(scope)));
    scope.dispose();
    expect(kept.disposed).toBe(false);
    kept.dispose();
  });

  it('hands what is kept to the scope around it', () => {
    const outer = new Scope();
    const inner = new Scope(outer);
    const kept = inner.keep(exp(upload(inner)));
    inner.dispose();
    expect([kept.disposed, blocks()]).toEqual([false, 1]);
    outer.dispose();
    expect(kept.disposed).toBe(true);
  });

  it('has the results of its tensors and those of scopes around it', () => {
    using outer = new Scope();
    const x = upload(outer);
    const inner = new Scope(outer);
    const results = [mul(x, upload(inner)), mul(upload(inner), x)];
    inner.dispose();
    expect(results.map(({ disposed }) => disposed)).toEqual([true, true]);
    expect(x.disposed).toBe(false);
  });
});

describe('tidy', () => {
  it('frees all but the result, which belongs to nobody when the inputs do', () => {
    using x = upload();
    using y = tidy([x], (x) => add(exp(x), mul(x, x)));
    expect(blocks()).toBe(2);
    expect(y.scope).toBeUndefined();
  });

  it('keeps several results, in the scope of the inputs', () => {
    using scope = new Scope();
    const [sum, product] = tidy([upload(scope), upload(scope)], (a, b) => [add(exp(a), b), mul(a, b)]);
    expect(blocks()).toBe(4);
    expect([sum?.scope, product?.scope]).toEqual([scope, scope]);
  });

  it('may return an input, or a view of one', async () => {
    const x = upload();
    const same = tidy([x], (x) => x);
    const view = tidy([x], (x) => transpose(x));
    x.dispose();
    expect(await same.data()).toEqual(Float32Array.of(1, 2));
    expect(await view.data()).toEqual(Float32Array.of(1, 2));
    same.dispose();
    view.dispose();
  });

  it('nests', () => {
    using x = upload();
    using y = tidy([x], (x) => exp(tidy([exp(x)], (e) => mul(exp(e), e))));
    expect([blocks(), y.disposed]).toEqual([2, false]);
  });

  it('frees everything when something is thrown', () => {
    using x = upload();
    const fails = () =>
      tidy([x], (x): Tensor => {
        exp(exp(x));
        throw new Error('on purpose');
      });
    expect(fails).toThrow('on purpose');
    expect(blocks()).toBe(1);
  });
});

describe('withScope', () => {
  it('stays open across await', async () => {
    const values = await withScope(async (scope) => {
      const x = upload(scope);
      await tick();
      const y = add(x, x);
      await tick();
      return y.data();
    });
    expect(values).toEqual(Float32Array.of(2, 4));
  });

  it('keeps scopes that are open at the same time apart', async () => {
    const run = (rounds: number) =>
      withScope(async (scope) => {
        let y = upload(scope);
        for (let i = 0; i < rounds; i++) {
          await tick();
          y = add(y, y);
        }
        return Array.from(await y.data());
      });
    // The short ones are freed while the long ones run.
    expect(await Promise.all([run(6), run(1), run(4), run(0)])).toEqual([
      [64, 128],
      [2, 4],
      [16, 32],
      [1, 2],
    ]);
  });

  it('frees everything when the function rejects', async () => {
    const fails = withScope(async (scope) => {
      exp(upload(scope));
      await tick();
      throw new Error('on purpose');
    });
    await expect(fails).rejects.toThrow('on purpose');
  });
});

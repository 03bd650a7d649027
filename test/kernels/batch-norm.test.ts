import { expect, it } from 'vitest';
import { Tape } from '../../src/autograd/tape.ts';
import { batchNormTraining, full, tensor } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { describeDevice } from '../support/devices.ts';

describeDevice('batch norm in training', (device) => {
  it('says when a channel has no variance', () => {
    using scope = new Scope();
    const running = full(device(), [3], 0, scope);
    const x = full(device(), [1, 3, 1, 1], 2, scope);
    expect(() => batchNormTraining(x, { mean: running, variance: running })).toThrow(
      'batchNormTraining: shape [1, 3, 1, 1] has 1 value for each channel, and no variance; use a larger batch',
    );
  });

  it('records one op, and none for the running statistics', () => {
    using scope = new Scope();
    const recorded: string[] = [];
    const recorder = { record: ({ op }: { op: string }) => recorded.push(op) };
    const x = tensor(device(), [1, 2, 3, 4], [2, 2], { scope }).alias({ recorder });
    const running = full(device(), [2], 0, scope);
    const { mean, variance } = batchNormTraining(x, { mean: running, variance: running });
    expect(recorded).toEqual(['batchNormTraining']);
    expect([mean.recorder, variance.recorder]).toEqual([undefined, undefined]);
  });

  it('leaves nothing in memory', async () => {
    const before = device().memory().blocks;
    {
      using scope = new Scope();
      using tape = new Tape();
      const x = tape.watch(tensor(device(), [1, 2, 3, 5], [2, 2], { scope }));
      const running = full(device(), [2], 0, scope);
      const { y } = batchNormTraining(x, { mean: running, variance: running });
      const [dx] = tape.vjp(y, full(device(), [1, 2, 2], 1, scope), [x]);
      // The sum of what is normalised does not change.
      for (const value of (await dx?.data()) ?? []) expect(value).toBeCloseTo(0, 5);
    }
    expect(device().memory().blocks).toBe(before);
  });
});

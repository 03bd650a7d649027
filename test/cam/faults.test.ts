import { expect, it } from 'vitest';
import { explainTensor } from '../../src/cam/explain.ts';
import { DeviceError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/index.ts';
import { describeDevice } from '../support/devices.ts';
import { randomArray, randomModel } from '../support/random-model.ts';

describeDevice('an explanation that runs out of memory', (device) => {
  it('leaves nothing behind, whichever allocation fails', async () => {
    const model = randomModel();
    const shape = [1, 3, 8, 8];
    using input = tensor(device(), randomArray(3, shape), shape);
    const before = device().memory().blocks;
    const allocate = device().allocate.bind(device());
    let left = 0;
    const counting = (fail: number) => {
      left = fail;
      device().allocate = (bytes) => {
        if (left-- === 0) throw new DeviceError('no room');
        return allocate(bytes);
      };
    };
    try {
      let allocations = 0;
      for (let fail = 0; ; fail++) {
        counting(fail);
        const outcome = await explainTensor(model, input, { topK: 2, mode: 'reference' }).then(
          (explanation) => explanation.dispose(),
          (error: unknown) => error,
        );
        if (outcome === undefined) break;
        expect(outcome).toBeInstanceOf(DeviceError);
        model.release(device());
        expect(device().memory().blocks, `blocks left after allocation ${fail} failed`).toBe(before);
        allocations += 1;
      }
      expect(allocations).toBeGreaterThan(100);
    } finally {
      device().allocate = allocate;
      model.release(device());
    }
    expect(device().memory().blocks).toBe(before);
  });
});

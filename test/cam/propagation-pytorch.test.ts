import { afterAll, describe, it } from 'vitest';
import type { Method } from '../../src/cam/method.ts';
import {
  gradient,
  guidedBackprop,
  inputXGradient,
  integratedGradients,
  lrp,
  smoothGrad,
} from '../../src/cam/propagation/index.ts';
import { tensor } from '../../src/kernels/index.ts';
import { Scope } from '../../src/tensor/scope.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { CLASSES, expected, SMALL_NETWORKS, smallNetwork } from '../support/small-networks.ts';

/* Every method against PyTorch in float64 (scripts/pytorch/propagation.py). */

const methods: Record<string, (baseline: Tensor) => Method> = {
  gradient: () => gradient,
  inputXGradient: () => inputXGradient,
  guidedBackprop: () => guidedBackprop,
  integratedGradients: (baseline) => integratedGradients({ baseline, steps: 6 }),
  lrpEpsilon: () => lrp({ epsilon: 0.05 }),
  lrpZPlus: () => lrp({ rule: 'z+' }),
};

describeDevice('propagation against PyTorch', (device) => {
  describe.each(SMALL_NETWORKS)('%s network', (network) => {
    const model = smallNetwork(network);
    afterAll(() => model.release(device()));

    const run = async (method: (baseline: Tensor) => Method) => {
      using scope = new Scope();
      const upload = (key: string) => {
        const { data, shape } = expected(network, key);
        return tensor(device(), data, shape, { scope });
      };
      const explain = method(upload('baseline'));
      return await (await explain({ model, input: upload('input'), layer: '', classes: CLASSES })).data();
    };

    it.each(Object.entries(methods))('%s', async (name, method) => {
      expectClose(await run(method), expected(network, name).data, TOLERANCE, name);
    });

    it('smoothGrad without noise is the gradient', async () => {
      const maps = await run(() => smoothGrad({ noise: 0, samples: 2 }));
      expectClose(maps, expected(network, 'gradient').data, TOLERANCE);
    });
  });
});

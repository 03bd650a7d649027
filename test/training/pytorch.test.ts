import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tensor } from '../../src/kernels/create.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { adamW, crossEntropy, sgd, Trainable, Trainer } from '../../src/training/index.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { smallNetwork } from '../support/small-networks.ts';

/* One step and ten steps against PyTorch in float64 (scripts/pytorch/training.py). */

const arrays = parseSafetensors(
  readFileSync(new URL('../expected/training.safetensors', import.meta.url)),
  'training.safetensors',
);
const valuesOf = (key: string) => Float32Array.from(arrays.get(key)?.data ?? []);

const optimisers = {
  sgd: { optimiser: sgd(), rate: 0.05 },
  momentum: { optimiser: sgd({ momentum: 0.9, weightDecay: 0.01 }), rate: 0.05 },
  nesterov: { optimiser: sgd({ momentum: 0.9, weightDecay: 0.01, nesterov: true }), rate: 0.05 },
  adamw: { optimiser: adamW({ weightDecay: 0.1 }), rate: 0.01 },
};
const STEPS = 10;
/** Each step is computed from the rounding errors of those before it, which the loss magnifies. */
const GROWTH = 10;

describeDevice('training against PyTorch', (device) => {
  const batch = () => {
    const [images, targets] = ['images', 'targets'].map((key) =>
      tensor(device(), valuesOf(key), arrays.get(key)?.shape ?? []),
    );
    if (!images || !targets) throw new Error('training.safetensors has no batch');
    return { images, targets };
  };

  it('one step: the loss, every gradient, and the running statistics', async () => {
    using network = new Trainable(smallNetwork('residual').module, device());
    const { images, targets } = batch();
    const { loss, logits, gradients } = network.differentiate(images, (logits) => crossEntropy(logits, targets));
    expectClose(await loss.data(), valuesOf('step/loss'), TOLERANCE, 'loss');
    expect([...gradients.keys()]).toEqual([...network.learnt().keys()]);
    for (const [key, gradient] of gradients) {
      expectClose(await gradient.data(), valuesOf(`step/gradient/${key}`), TOLERANCE, key);
    }
    const running = [...(await network.stateDict())].filter(([key]) => key.includes('running'));
    expect(running).toHaveLength(12);
    for (const [key, { data }] of running) expectClose(data, valuesOf(`step/state/${key}`), TOLERANCE, key);
    for (const tensor of [images, targets, loss, logits, ...gradients.values()]) tensor.dispose();
  });

  describe.each(Object.entries(optimisers))('%s', (name, { optimiser, rate }) => {
    it('ten steps: every loss, parameter and statistic', async () => {
      const before = device().memory().live;
      {
        using network = new Trainable(smallNetwork('residual').module, device());
        using trainer = new Trainer(network, optimiser);
        const { images, targets } = batch();
        const losses: number[] = [];
        for (let step = 0; step < STEPS; step++) {
          const { loss, logits } = trainer.step(images, targets, rate);
          losses.push(await loss.item());
          for (const tensor of [loss, logits]) tensor.dispose();
        }
        expectClose(losses, valuesOf(`${name}/losses`), TOLERANCE * GROWTH, 'losses');
        for (const [key, { data }] of await network.stateDict()) {
          expectClose(data, valuesOf(`${name}/state/${key}`), TOLERANCE * GROWTH, key);
        }
        for (const tensor of [images, targets]) tensor.dispose();
      }
      expect(device().memory().live, 'bytes left behind').toBe(before);
    });
  });

  it('goes on from a checkpoint exactly as if it had not stopped', async () => {
    const { images, targets } = batch();
    const run = (trainer: Trainer, steps: number) => {
      for (let i = 0; i < steps; i++) {
        const { loss, logits } = trainer.step(images, targets, 0.01);
        for (const tensor of [loss, logits]) tensor.dispose();
      }
    };
    const start = () => new Trainer(new Trainable(smallNetwork('residual').module, device()), adamW());
    const straight = start();
    run(straight, 5);
    const first = start();
    run(first, 2);
    const second = start();
    second.restore(await first.checkpoint());
    expect(second.steps).toBe(2);
    run(second, 3);
    expect(Buffer.from(await second.checkpoint()).equals(await straight.checkpoint())).toBe(true);
    for (const trainer of [straight, first, second]) {
      trainer.network.dispose();
      trainer.dispose();
    }
    for (const tensor of [images, targets]) tensor.dispose();
  });
});

import { afterAll, describe, expect, it } from 'vitest';
import { CpuDevice } from '../../src/kernels/cpu/device.ts';
import { tensor } from '../../src/kernels/index.ts';
import { CifarResNet } from '../../src/nn/models/cifar-resnet.ts';
import { gaussian } from '../../src/random.ts';
import { at } from '../../src/tensor/shape.ts';
import {
  adamW,
  crossEntropy,
  initialise,
  type Optimiser,
  sgd,
  Trainable,
  Trainer,
  warmUpCosine,
} from '../../src/training/index.ts';

const CLASSES = 4;
const device = new CpuDevice({ threads: 2 });
afterAll(() => device.destroy());

function start(seed: number, optimiser: Optimiser = sgd({ momentum: 0.9 })): Trainer {
  const module = new CifarResNet(8, CLASSES);
  initialise(module, seed);
  return new Trainer(new Trainable(module, device), optimiser);
}

/** A batch of noise, and as many classes: there is nothing to learn but each image by heart. */
function batch(seed: number) {
  const normal = gaussian(seed);
  const images = tensor(device, Float32Array.from({ length: CLASSES * 3 * 12 * 12 }, normal), [CLASSES, 3, 12, 12]);
  const targets = tensor(
    device,
    Float32Array.from({ length: CLASSES ** 2 }, (_, i) => Number(i % (CLASSES + 1) === 0)),
    [CLASSES, CLASSES],
  );
  return { images, targets };
}

/** The loss of each step. */
async function train(trainer: Trainer, steps: number): Promise<number[]> {
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const { images, targets } = batch(step % 2);
    const { loss, logits } = trainer.step(images, targets, 0.05);
    losses.push(await loss.item());
    for (const tensor of [images, targets, loss, logits]) tensor.dispose();
  }
  return losses;
}

describe('training on the CPU device', () => {
  it('is deterministic: the same seed gives the same weights, another one others', async () => {
    const trained = await Promise.all(
      [1, 1, 2].map(async (seed) => {
        using trainer = start(seed);
        await train(trainer, 5);
        return trainer.checkpoint();
      }),
    );
    // Not toEqual, which takes minutes to print how two files differ.
    const isFirst = (checkpoint: Uint8Array) => Buffer.from(at(trained, 0)).equals(checkpoint);
    expect(trained.map(isFirst)).toEqual([true, true, false]);
  });

  it('learns', async () => {
    using trainer = start(1);
    const losses = await train(trainer, 60);
    expect(losses[0]).toBeGreaterThan(1);
    expect(at(losses, 59)).toBeLessThan(0.1);
  });

  it('refuses a checkpoint of another network or optimiser, and stays as it was', async () => {
    using trainer = start(1);
    const before = await trainer.checkpoint();
    using other = start(1, adamW());
    expect(() => trainer.restore(new Uint8Array(3), 'x.safetensors')).toThrow(/^x.safetensors: /);
    expect(() => other.restore(before, 'x.safetensors')).toThrow(
      'x.safetensors: no "optimiser/exp_avg/conv1.weight" of this network and optimiser; begin anew, or give their checkpoint',
    );
    expect(Buffer.from(before).equals(await trainer.checkpoint())).toBe(true);
  });
});

describe('crossEntropy', () => {
  it('refuses targets of another shape', () => {
    using logits = tensor(device, [1, 2, 3], [1, 3]);
    using targets = tensor(device, [0, 1], [2]);
    expect(() => crossEntropy(logits, targets)).toThrow(
      'crossEntropy: logits [1, 3] and targets [2] must both be [N, classes]',
    );
  });
});

describe('warmUpCosine', () => {
  const rate = warmUpCosine({ peak: 0.4, warmUp: 4, steps: 104 });

  it('rises in equal steps to the peak, then falls along half a cosine', () => {
    expect([0, 1, 2, 3, 4].map(rate)).toEqual([0.1, 0.2, expect.closeTo(0.3, 12), 0.4, 0.4]);
    expect(rate(4 + 25)).toBeCloseTo(0.2 * (1 + Math.SQRT1_2), 12);
    expect(rate(4 + 50)).toBeCloseTo(0.2, 12);
    expect(rate(104)).toBeCloseTo(0, 12);
  });

  it('refuses a warm-up that the training has no room for', () => {
    expect(() => warmUpCosine({ peak: 1, warmUp: 5, steps: 5 })).toThrow('a warm-up of 5 steps does not fit');
  });
});

describe('initialise', () => {
  it('draws convolutions with the variance 2 / fan-out, and leaves batch norms to do nothing', () => {
    const module = new CifarResNet(8, CLASSES);
    initialise(module, 3);
    const values = (key: string) => at([module.parameters().get(key)?.values ?? []], 0);
    const weight = [...values('layer3.0.conv2.weight')];
    const variance = weight.reduce((sum, value) => sum + value ** 2, 0) / weight.length;
    expect(variance / (2 / (64 * 9))).toBeCloseTo(1, 1);
    expect(new Set([...values('bn1.weight'), ...values('bn1.running_var')])).toEqual(new Set([1]));
    expect(new Set([...values('bn1.bias'), ...values('bn1.running_mean')])).toEqual(new Set([0]));
    expect(Math.max(...[...values('linear.weight')].map(Math.abs))).toBeLessThan(1 / 8);
  });
});

import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { vjp } from '../../src/autograd/tape.ts';
import type { Method, MethodCall } from '../../src/cam/method.ts';
import {
  gradient,
  guidedBackprop,
  inputXGradient,
  integratedGradients,
  lrp,
  smoothGrad,
} from '../../src/cam/propagation/index.ts';
import { UsageError } from '../../src/errors.ts';
import { relu, reshape, tensor } from '../../src/kernels/index.ts';
import type { ForwardPass } from '../../src/nn/forward-pass.ts';
import { Linear } from '../../src/nn/layers.ts';
import { loadModel, Model } from '../../src/nn/model.ts';
import { Module } from '../../src/nn/module.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at, type Shape, sizeOf } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, randomModel } from '../support/random-model.ts';
import { describeShared, shared } from '../support/shared.ts';
import { CLASSES, expected, SMALL_NETWORKS, smallNetwork, withoutBiases } from '../support/small-networks.ts';

interface Images {
  readonly data: ArrayLike<number>;
  readonly shape: Shape;
}

const METHODS: Readonly<Record<string, Method>> = {
  gradient,
  inputXGradient,
  guidedBackprop,
  smoothGrad: smoothGrad({ samples: 3, batch: 2 }),
  integratedGradients: integratedGradients({ steps: 3, batch: 2 }),
  lrpEpsilon: lrp({ epsilon: 0.05 }),
  lrpZPlus: lrp({ rule: 'z+' }),
};

/** Parts of equal size. */
function parts(values: ArrayLike<number>, count: number): number[][] {
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => Array.from(values).slice(i * size, (i + 1) * size));
}
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);

describeDevice('propagation', (device) => {
  const models: Model[] = [];
  const kept = (model: Model) => {
    models.push(model);
    return model;
  };
  afterEach(() => vi.restoreAllMocks());
  afterAll(() => {
    for (const model of models) model.release(device());
    expect(device().memory().blocks, 'blocks left on the device').toBe(0);
  });

  const upload = (scope: Scope, { data, shape }: Images) => tensor(device(), Float32Array.from(data), shape, { scope });

  /** The maps of images, as numbers. */
  async function run(
    method: Method,
    model: Model,
    images: Images,
    classes: MethodCall['classes'],
    rest: Partial<MethodCall> = {},
  ): Promise<number[]> {
    using scope = new Scope();
    const maps = await method({ model, input: upload(scope, images), layer: '', classes, ...rest });
    expect(maps.shape).toEqual([images.shape[0], at(classes, 0).length, ...images.shape.slice(2)]);
    expect(maps.scope).toBe(scope);
    return Array.from(await maps.data());
  }

  async function logitsOf(model: Model, images: Images): Promise<number[][]> {
    using scope = new Scope();
    return parts(await model.forward(upload(scope, images)).data(), at(images.shape, 0));
  }

  /** The logits of the classes of each image, one after the other. */
  async function targetLogits(model: Model, images: Images, classes: MethodCall['classes']): Promise<number[]> {
    const logits = await logitsOf(model, images);
    return classes.flatMap((ofImage, n) => ofImage.map((index) => at(at(logits, n), index)));
  }

  describe('of layers that are worked out by hand', () => {
    const SIDE = 4;
    const FEATURES = 3 * SIDE * SIDE;
    const x = { data: randomArray(3, [1, 3, SIDE, SIDE]), shape: [1, 3, SIDE, SIDE] };
    const classes = [[2, 0]];

    /** Fully connected layers with ReLUs between them. */
    class Layers extends Module {
      readonly #layers: readonly Linear[];

      constructor(widths: readonly number[]) {
        super();
        this.#layers = widths.slice(1).map((width, i) => new Linear(at(widths, i), width));
      }

      override children(): [string, Module][] {
        return Object.entries(this.#layers);
      }

      forward(x: Tensor, pass: ForwardPass): Tensor {
        const flat = reshape(x, [-1, FEATURES]);
        return this.#layers.reduce((x, layer, i) => pass.call(layer, i === 0 ? x : relu(x)), flat);
      }
    }

    const weights = (seed: number, rows: number, columns: number) => randomArray(seed, [rows, columns]);
    const bias = Float32Array.from([0.5, -0.25, 0.125]);
    const model = (widths: readonly number[], arrays: Readonly<Record<string, Float32Array>>) => {
      const module = new Layers(widths);
      module.loadValues(new Map(Object.entries(arrays).map(([key, data]) => [key, { data }])));
      return kept(new Model('resnet20-cifar10', module, ['a', 'b', 'c']));
    };

    const w = weights(5, 3, FEATURES);
    const linear = model([FEATURES, 3], { '0.weight': w, '0.bias': bias });
    const row = (k: number) => w.subarray(k * FEATURES, (k + 1) * FEATURES);
    /** For each class and pixel: what `combine` makes of the values of its colours. */
    const perPixel = (value: (index: number, k: number) => number, combine: (colours: number[]) => number) =>
      at(classes, 0).flatMap((k) =>
        Array.from({ length: SIDE * SIDE }, (_, pixel) =>
          combine([0, 1, 2].map((c) => value(c * SIDE * SIDE + pixel, k))),
        ),
      );
    const strongest = (colours: number[]) => Math.max(...colours.map(Math.abs));
    const product = (i: number, k: number) => at(row(k), i) * at(x.data, i);
    const positiveSum = (k: number) => total(Array.from(row(k), (_, i) => Math.max(product(i, k), 0)));
    const logit = (k: number) => total(Array.from(row(k), (_, i) => product(i, k))) + at(bias, k);

    it.each<[string, Method, number[]]>([
      ['gradient', gradient, perPixel((i, k) => at(row(k), i), strongest)],
      ['smoothGrad', smoothGrad({ samples: 2 }), perPixel((i, k) => at(row(k), i), strongest)],
      ['guidedBackprop', guidedBackprop, perPixel((i, k) => at(row(k), i), total)],
      ['inputXGradient', inputXGradient, perPixel(product, total)],
      ['integratedGradients', integratedGradients({ steps: 2 }), perPixel(product, total)],
      ['lrp', lrp(), perPixel(product, total)],
      [
        'lrp z+',
        lrp({ rule: 'z+' }),
        perPixel((i, k) => (Math.max(product(i, k), 0) / positiveSum(k)) * logit(k), total),
      ],
    ])('%s of a linear model', async (_, method, byHand) => {
      expectClose(await run(method, linear, x, classes), byHand, TOLERANCE);
    });

    it('guided backpropagation stops what is negative at each ReLU, and what comes to a silent one', async () => {
      const widths = [FEATURES, 9, 7, 3] as const;
      const w = [weights(11, 9, FEATURES), weights(12, 7, 9), weights(13, 3, 7)] as const;
      const zeros = (size: number) => new Float32Array(size);
      const arrays = {
        ...{ '0.weight': w[0], '1.weight': w[1], '2.weight': w[2] },
        ...{ '0.bias': zeros(9), '1.bias': zeros(7), '2.bias': zeros(3) },
      };
      /** W x */
      const forwards = (W: Float32Array, x: ArrayLike<number>) =>
        parts(W, W.length / x.length).map((row) => total(row.map((weight, i) => weight * at(x, i))));
      /** R W */
      const backwards = (W: Float32Array, R: readonly number[]) => {
        const rows = parts(W, R.length);
        return at(rows, 0).map((_, i) => total(rows.map((row, j) => at(row, i) * at(R, j))));
      };
      const rectified = (values: readonly number[]) => values.map((value) => Math.max(value, 0));
      const first = rectified(forwards(w[0], x.data));
      const second = rectified(forwards(w[1], first));
      const through = (R: readonly number[], output: readonly number[]) =>
        R.map((value, i) => (at(output, i) > 0 ? Math.max(value, 0) : 0));
      const byHand = at(classes, 0).flatMap((k) => {
        const R = through(at(parts(w[2], 3), k), second);
        const colours = parts(backwards(w[0], through(backwards(w[1], R), first)), 3);
        return at(colours, 0).map((_, pixel) => total(colours.map((colour) => at(colour, pixel))));
      });
      expectClose(await run(guidedBackprop, model(widths, arrays), x, classes), byHand, TOLERANCE);
    });
  });

  describe.each(SMALL_NETWORKS)('%s network', (network) => {
    const model = kept(smallNetwork(network));
    const images = expected(network, 'input');
    const first = { data: at(parts(images.data, 2), 0), shape: [1, ...images.shape.slice(1)] };

    describe.each(Object.entries(METHODS))('%s', (_, method) => {
      it('K classes at once are K single runs, and a batch is single runs', async () => {
        const together = parts(await run(method, model, images, CLASSES), 2);
        for (const [n, data] of parts(images.data, 2).entries()) {
          for (const [k, index] of at(CLASSES, n).entries()) {
            const alone = await run(method, model, { ...first, data }, [[index]]);
            expectClose(at(parts(at(together, n), 3), k), alone, TOLERANCE, `class ${index} of image ${n}`);
          }
        }
      });
    });

    it('gradients are central differences', async () => {
      const k = 1;
      const [, , H = 1, W = 1] = first.shape;
      const logitAt = async (data: ArrayLike<number>) => at(at(await logitsOf(model, { ...first, data }), 0), k);
      const difference = async (direction: (i: number) => number) => {
        const step = 1e-3;
        const moved = (sign: number) => Float32Array.from(first.data, (value, i) => value + sign * step * direction(i));
        return ((await logitAt(moved(1))) - (await logitAt(moved(-1)))) / (2 * step);
      };

      // Brightening a quarter of the image changes the logit by what input x gradient says of that quarter.
      const shares = await run(inputXGradient, model, first, [[k]]);
      const quarter = (pixel: number) => 2 * Math.floor((2 * pixel) / (H * W)) + Math.floor((2 * (pixel % W)) / W);
      const summed = [0, 1, 2, 3].map((q) => total(shares.filter((_, pixel) => quarter(pixel) === q)));
      const differences: number[] = [];
      for (const q of [0, 1, 2, 3]) {
        differences.push(await difference((i) => (quarter(i % (H * W)) === q ? at(first.data, i) : 0)));
      }
      expectClose(summed, differences, 1e-2, 'quarters');

      const map = await run(gradient, model, first, [[k]]);
      const pixel = map.indexOf(Math.max(...map));
      const colours: number[] = [];
      for (const c of [0, 1, 2]) colours.push(await difference((i) => (i === c * H * W + pixel ? 1 : 0)));
      expectClose([Math.max(...colours.map(Math.abs))], [at(map, pixel)], 2e-2, 'the strongest pixel');
    });

    it('integrated gradients add up to the difference of the logits', async () => {
      const baseline = expected(network, 'baseline');
      const dark = { ...images, data: Array.from(images.data, (_, i) => at(baseline.data, Math.floor(i / 320) % 3)) };
      const logits = await targetLogits(model, images, CLASSES);
      const differences = (await targetLogits(model, dark, CLASSES)).map((value, i) => at(logits, i) - value);
      using scope = new Scope();
      const method = integratedGradients({ baseline: upload(scope, baseline), steps: 64, batch: 32 });
      const sums = parts(await run(method, model, images, CLASSES), 6).map(total);
      expectClose(sums, differences, 2e-2);
    });

    it('with a small epsilon, LRP is input x gradient', async () => {
      const relevance = await run(lrp({ epsilon: 1e-9 }), model, images, CLASSES);
      expectClose(relevance, await run(inputXGradient, model, images, CLASSES), TOLERANCE);
    });

    it.each([{ rule: 'epsilon' }, { rule: 'z+' }] as const)(
      'LRP conserves relevance without biases: $rule',
      async (options) => {
        const unbiased = kept(smallNetwork(network, withoutBiases));
        const sums = parts(await run(lrp(options), unbiased, images, CLASSES), 6).map(total);
        expectClose(sums, await targetLogits(unbiased, images, CLASSES), 10 * TOLERANCE);
      },
    );
  });

  it('LRP conserves relevance through shortcuts that subsample and pad', async () => {
    const model = kept(randomModel());
    for (const [key, parameter] of model.module.parameters()) {
      parameter.load(withoutBiases(key, parameter.values));
    }
    const images = { data: randomArray(9, [1, 3, 16, 16]), shape: [1, 3, 16, 16] };
    for (const rule of ['epsilon', 'z+'] as const) {
      const sums = parts(await run(lrp({ rule }), model, images, [[3, 8]]), 2).map(total);
      expectClose(sums, await targetLogits(model, images, [[3, 8]]), 10 * TOLERANCE, rule);
    }
  });

  describe('of many passes', () => {
    const model = kept(smallNetwork('dense'));
    const { data, shape } = expected('dense', 'input');
    const image = { data: at(parts(data, 2), 0), shape: [1, ...shape.slice(1)] };
    const classes = [[1, 2]];

    it('SmoothGrad is the mean of the gradients of noisy copies', async () => {
      const copies: Tensor[] = [];
      const forward = model.forward.bind(model);
      vi.spyOn(model, 'forward').mockImplementation((x, observe) => {
        copies.push(x.alias({ scope: undefined, recorder: undefined }));
        return forward(x, observe);
      });
      const range = Math.max(...image.data) - Math.min(...image.data);
      const map = await run(smoothGrad({ samples: 8, noise: 0.1, batch: 3 }), model, image, [[4]]);
      vi.restoreAllMocks();

      const noise: number[] = [];
      const mean = new Float64Array(image.data.length);
      for (const copy of copies) {
        const batch = at(copy.shape, 0);
        for (const values of parts(await copy.data(), batch)) {
          noise.push(...values.map((value, i) => (value - at(image.data, i)) / range));
        }
        using scope = new Scope();
        const oneHot = {
          data: Array.from({ length: 5 * batch }, (_, i) => (i % 5 === 4 ? 1 : 0)),
          shape: [1, batch, 5],
        };
        const { gradients } = vjp(
          (x) => model.forward(x),
          [scope.enter(copy)],
          () => upload(scope, oneHot),
        );
        for (const values of parts(await at(gradients, 0).data(), batch)) {
          for (const [i, value] of values.entries()) mean[i] = at(mean, i) + value / 8;
        }
        copy.dispose();
      }
      expect(noise.length).toBe(8 * image.data.length);
      // Of 7680 numbers, the mean and the standard deviation are within 4 standard errors of theirs.
      expect(Math.abs(total(noise) / noise.length)).toBeLessThan(0.1 * 0.046);
      expect(Math.sqrt(total(noise.map((value) => value ** 2)) / noise.length)).toBeCloseTo(0.1, 2);
      const colours = parts(mean, 3).map((colour) => colour.map(Math.abs));
      const strongest = at(colours, 0).map((_, pixel) => Math.max(...colours.map((colour) => at(colour, pixel))));
      expectClose(map, strongest, TOLERANCE);
    });

    it('SmoothGrad depends on the seed, not on the batches', async () => {
      const map = (options: Parameters<typeof smoothGrad>[0]) =>
        run(smoothGrad({ samples: 5, ...options }), model, image, classes);
      const reference = await map({});
      expectClose(await map({ batch: 5 }), reference, TOLERANCE);
      expect(await map({ seed: 2 })).not.toEqual(reference);
    });

    it('integrated gradients do not depend on the batches', async () => {
      const map = (batch: number) => run(integratedGradients({ steps: 7, batch }), model, image, classes);
      expectClose(await map(7), await map(3), TOLERANCE);
    });

    describe.each([
      ['smoothGrad', smoothGrad({ samples: 7, batch: 2 })],
      ['integratedGradients', integratedGradients({ steps: 7, batch: 2 })],
    ])('%s', (_, method) => {
      it('tells how far it is', async () => {
        const progress = vi.fn();
        await run(method, model, image, classes, { progress });
        expect(progress.mock.calls).toEqual([1, 2, 3, 4].map((done) => [done, 4]));
      });

      it('stops when it is cancelled, and leaves nothing behind', async () => {
        using scope = new Scope();
        const input = upload(scope, image);
        model.forward(input).dispose();
        const { live } = device().memory();
        const controller = new AbortController();
        const reason = new Error('enough');
        const progress = vi.fn(() => controller.abort(reason));
        const call = { model, input, layer: '', classes, signal: controller.signal, progress };
        await expect(method(call)).rejects.toBe(reason);
        expect(progress.mock.calls.length).toBeLessThan(4);
        expect(device().memory().live).toBe(live);
      });
    });

    it.each(Object.entries(METHODS))('%s does not begin when it is cancelled already', async (_, method) => {
      const forward = vi.spyOn(model, 'forward');
      const signal = AbortSignal.abort();
      await expect(run(method, model, image, classes, { signal })).rejects.toThrow(signal.reason);
      expect(forward).not.toHaveBeenCalled();
    });
  });

  describeShared('of a trained network', () => {
    it('integrated gradients add up to the difference of the logits', async () => {
      const model = kept(loadModel('resnet20-cifar10', shared('models/resnet20-12fca82f.th')));
      const file = 'golden/resnet20-dog-cat-64-layer3.2-top5.safetensors';
      const input = parseSafetensors(shared(file), file).get('input');
      if (!input) throw new Error(`${file} has no input`);
      // Every fourth pixel of 64 x 64.
      const shape = [1, 3, 16, 16];
      const thinned = Array.from({ length: sizeOf(shape) }, (_, i) => {
        const [row, column] = [Math.floor(i / 16), i % 16];
        return Number(input.data[256 * row + 4 * column]);
      });
      const image = { data: thinned, shape };
      const grey = { ...image, data: new Float32Array(sizeOf(shape)) };
      const classes = [[3, 5]];
      const logits = await targetLogits(model, image, classes);
      const differences = (await targetLogits(model, grey, classes)).map((value, i) => at(logits, i) - value);
      const method = integratedGradients({ steps: 32, batch: 8 });
      const sums = parts(await run(method, model, image, classes), 2).map(total);
      // The gradient of a trained network jumps a great deal on the way: the error goes down with 1 / steps.
      expectClose(sums, differences, 0.15);
    });
  });
});

describe('options of propagation', () => {
  it.each<[() => Method, string]>([
    [() => smoothGrad({ samples: 0 }), 'samples 0 is out of range; use a whole number of 1 or more'],
    [() => smoothGrad({ batch: 1.5 }), 'batch 1.5 is out of range; use a whole number of 1 or more'],
    [() => smoothGrad({ noise: -1 }), "noise -1 is out of range; use a fraction of the image's range, such as 0.15"],
    [
      () => smoothGrad({ noise: Number.NaN }),
      "noise NaN is out of range; use a fraction of the image's range, such as 0.15",
    ],
    [() => integratedGradients({ steps: -3 }), 'steps -3 is out of range; use a whole number of 1 or more'],
    [() => integratedGradients({ batch: 0 }), 'batch 0 is out of range; use a whole number of 1 or more'],
    [() => lrp({ epsilon: 0 }), 'epsilon 0 is out of range; use a small number above 0, such as 1e-6'],
    [() => lrp({ rule: 'gamma' as 'z+' }), 'rule "gamma" is unknown; use epsilon or z+'],
  ])('are refused: %s', (make, message) => {
    expect(make).toThrow(new UsageError(message));
  });
});

import fc from 'fast-check';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import type { Method, MethodCall } from '../../src/cam/method.ts';
import {
  type BaseMethodName,
  createMethod,
  METHOD_NAMES,
  METHODS,
  type MethodName,
  type MethodOptions,
  namedMethod,
} from '../../src/cam/methods.ts';
import { UsageError } from '../../src/errors.ts';
import { reshape, tensor } from '../../src/kernels/index.ts';
import type { ForwardPass, Observer } from '../../src/nn/forward-pass.ts';
import { Linear } from '../../src/nn/layers.ts';
import { Model } from '../../src/nn/model.ts';
import { Module } from '../../src/nn/module.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at, type Shape } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, randomModel } from '../support/random-model.ts';

interface Images {
  readonly data: ArrayLike<number>;
  readonly shape: Shape;
}

/** Parts of equal size. */
function parts(values: ArrayLike<number>, count: number): number[][] {
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => Array.from(values).slice(i * size, (i + 1) * size));
}
const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
const softmax = (values: readonly number[]) => {
  const powers = values.map((value) => Math.exp(value - Math.max(...values)));
  return powers.map((power) => power / total(powers));
};

/** A few samples will do here. */
const FEW: Partial<Record<BaseMethodName, MethodOptions>> = {
  occlusion: { patch: 8, stride: 8 },
  rise: { samples: 5, batch: 3 },
  'smooth-grad': { samples: 2 },
  'integrated-gradients': { steps: 2 },
  'augmented-grad-cam': { samples: 3, factor: 2, steps: 4 },
  dff: { steps: 3, concepts: 2 },
};
const NAMES = Object.keys(METHODS) as BaseMethodName[];
const create = (name: MethodName, options?: MethodOptions) => {
  const named = namedMethod(name);
  return createMethod(named, options ?? FEW[named.base]);
};

const SIDE = 16;
const SHAPE = [1, 3, SIDE, SIDE];
const image = (seed: number): Images => ({ data: randomArray(seed, SHAPE), shape: SHAPE });
const CLASSES = [3, 8];

describeDevice('methods', (device) => {
  const models: Model[] = [];
  const kept = (model: Model) => {
    models.push(model);
    return model;
  };
  const network = kept(randomModel());
  afterEach(() => vi.restoreAllMocks());
  afterAll(() => {
    for (const model of models) model.release(device());
    expect(device().memory().blocks, 'blocks left on the device').toBe(0);
  });

  const upload = (scope: Scope, { data, shape }: Images) => tensor(device(), Float32Array.from(data), shape, { scope });

  /** The maps of images, one after the other. */
  async function run(method: Method, images: Images, call: Partial<MethodCall> = {}): Promise<number[]> {
    using scope = new Scope();
    const input = upload(scope, images);
    const classes = Array.from({ length: at(images.shape, 0) }, () => CLASSES);
    const maps = await method({ model: network, layer: 'layer3', input, classes, ...call });
    expect(maps.scope).toBe(scope);
    return Array.from(await maps.data());
  }

  async function logitsOf(images: Images, observe: Readonly<Record<string, Observer>> = {}, model = network) {
    using scope = new Scope();
    return parts(await model.forward(upload(scope, images), observe).data(), at(images.shape, 0));
  }

  async function activationsAt(layer: string, images: Images): Promise<Images> {
    using scope = new Scope();
    let found: Tensor | undefined;
    const keep: Observer = (output) => {
      found = output.alias({ scope });
      return output;
    };
    network.forward(upload(scope, images), { [layer]: keep });
    if (!found) throw new Error(`${layer} does not run`);
    return { data: await found.data(), shape: found.shape };
  }

  it('with global average pooling, a linear head and a ReLU, four methods are one up to scale', async () => {
    const pixels = (SIDE / 4) ** 2;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e6 }), async (seed) => {
        const expected = await run(create('grad-cam'), image(seed));
        expectClose(await run(create('hires-cam'), image(seed)), expected, TOLERANCE, 'HiResCAM');
        expectClose(await run(create('xgrad-cam'), image(seed)), expected, TOLERANCE, 'XGrad-CAM');
        const cam = await run(create('cam'), image(seed));
        expectClose(
          cam.map((value) => value / pixels),
          expected,
          TOLERANCE,
          'CAM',
        );
      }),
      { numRuns: 3 },
    );
  });

  it('CAM averages to the logit without its bias', async () => {
    const maps = parts(await run(create('cam'), image(2)), 2);
    const logits = at(await logitsOf(image(2)), 0);
    const bias = network.module.parameters().get('linear.bias')?.values ?? [];
    const expected = CLASSES.map((index) => at(logits, index) - at(bias, index));
    expectClose(
      maps.map((map) => total(map) / map.length),
      expected,
      TOLERANCE,
    );
  });

  describe.each(NAMES)('%s', (name) => {
    const method = create(name);
    const { layer, perClass } = METHODS[name];
    // Score-CAM takes a pass for each channel, of which there are fewest here.
    const call = name === 'score-cam' ? { layer: 'layer1' } : {};
    const pair = {
      data: Float32Array.of(...Array.from(image(5).data), ...Array.from(image(6).data)),
      shape: [2, 3, SIDE, SIDE],
    };

    // The concepts of a batch are those of all its images.
    if (name !== 'dff') {
      it('a batch is single runs, and K classes at once are K runs', async () => {
        const together = parts(await run(method, pair, call), 2);
        for (const [n, seed] of [5, 6].entries()) {
          const maps = parts(at(together, n), perClass ? CLASSES.length : 1);
          for (const [k, map] of maps.entries()) {
            const alone = await run(method, image(seed), { ...call, classes: [[at(CLASSES, k)]] });
            expectClose(map, alone, TOLERANCE, `class ${k} of image ${n}`);
          }
        }
      });
    }

    it('is cancelled before it begins, and leaves nothing behind', async () => {
      using scope = new Scope();
      const input = upload(scope, image(1));
      const forward = vi.spyOn(network, 'forward');
      const { live } = device().memory();
      const reason = new Error('enough');
      const call = { model: network, input, layer: layer ? 'layer3' : '', classes: [CLASSES] };
      await expect(method({ ...call, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
      expect(forward).not.toHaveBeenCalled();
      expect(device().memory().live).toBe(live);
    });
  });

  describe.each<[MethodName, MethodOptions]>([
    ['score-cam', { batch: 8 }],
    ['ablation-cam', { batch: 8 }],
    ['occlusion', { patch: 8, stride: 2, batch: 4 }],
    ['rise', { samples: 20, batch: 4 }],
    ['dff', { steps: 50 }],
    ['augmented-grad-cam', { samples: 8, factor: 2, steps: 50 }],
  ])('%s', (name, options) => {
    it('says how far it is, stops when it is cancelled, and leaves nothing behind', async () => {
      using scope = new Scope();
      const input = upload(scope, image(1));
      network.forward(input).dispose();
      const { live } = device().memory();
      const controller = new AbortController();
      const reason = new Error('enough');
      const progress = vi.fn((_done: number, _total: number) => controller.abort(reason));
      const call = { model: network, input, layer: 'layer3', classes: [CLASSES], signal: controller.signal, progress };
      await expect(create(name, options)(call)).rejects.toBe(reason);
      const [done, all] = progress.mock.lastCall ?? [];
      expect(done).toBeLessThan(all ?? 0);
      expect(device().memory().live).toBe(live);
    });
  });

  it('lets events in while it works', async () => {
    using scope = new Scope();
    const reason = new Error('enough');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 30);
    const { signal } = controller;
    const call = { model: network, input: upload(scope, image(1)), layer: '', classes: [CLASSES], signal };
    await expect(create('rise', { samples: 100_000, batch: 1 })(call)).rejects.toBe(reason);
  });

  describe('ablation-cam', () => {
    // At a stage, at a block, inside of blocks (a module that runs twice among them), and in front of everything.
    it.each(['layer1', 'layer2.1', 'layer2.1.conv2', 'layer1.0.bn1', 'conv1'])(
      'is a loop over channels: %s',
      async (layer) => {
        const { data, shape } = await activationsAt(layer, image(3));
        const [, C = 1] = shape;
        const logits = at(await logitsOf(image(3)), 0);
        const channels = parts(data, C);
        const weights: number[][] = [];
        for (let c = 0; c < C; c++) {
          using scope = new Scope();
          const without = channels.flatMap((channel, other) => (other === c ? channel.map(() => 0) : channel));
          const replace = () => upload(scope, { data: without, shape });
          const ablated = at(await logitsOf(image(3), { [layer]: replace }), 0);
          weights.push(CLASSES.map((k) => (at(logits, k) - at(ablated, k)) / Math.abs(at(logits, k))));
        }
        const expected = CLASSES.flatMap((_, k) =>
          at(channels, 0).map((_, pixel) =>
            total(channels.map((channel, c) => at(at(weights, c), k) * at(channel, pixel))),
          ),
        );
        // Logits that differ little are subtracted.
        expectClose(await run(create('ablation-cam'), image(3), { layer }), expected, 20 * TOLERANCE);
      },
    );

    it('runs nothing in front of the layer', async () => {
      const images: number[] = [];
      const forward = network.forward.bind(network);
      vi.spyOn(network, 'forward').mockImplementation((x, observe) => {
        images.push(at(x.shape, 0));
        return forward(x, observe);
      });
      await run(create('ablation-cam'), image(3), { layer: 'layer2.1' });
      expect(images).toEqual([1]);
    });
  });

  it('score-cam is a loop over channels', async () => {
    const layer = 'layer2.0';
    const x = image(4);
    const { data, shape } = await activationsAt(layer, x);
    const [, C = 1, I = 1, J = 1] = shape;
    const channels = parts(data, C);
    /** Bilinear, corners on corners. */
    const upsampled = (channel: number[]) =>
      Array.from({ length: SIDE * SIDE }, (_, pixel) => {
        const [v, u] = [(Math.floor(pixel / SIDE) * (I - 1)) / (SIDE - 1), ((pixel % SIDE) * (J - 1)) / (SIDE - 1)];
        const weigh = (i: number, j: number) => Math.max(0, 1 - Math.abs(v - i)) * Math.max(0, 1 - Math.abs(u - j));
        return total(channel.map((value, k) => value * weigh(Math.floor(k / J), k % J)));
      });
    const masked = channels.map((channel) => {
      const large = upsampled(channel);
      const [least, most] = [Math.min(...large), Math.max(...large)];
      const mask = large.map((value) => (most > least ? (value - least) / (most - least) : 0));
      return Array.from(x.data, (value, i) => value * at(mask, i % (SIDE * SIDE)));
    });
    const logits = await logitsOf({ data: masked.flat(), shape: [C, 3, SIDE, SIDE] });
    const expected = CLASSES.flatMap((k) => {
      const weights = softmax(logits.map((ofChannel) => at(ofChannel, k)));
      return at(channels, 0).map((_, pixel) =>
        total(channels.map((channel, c) => at(weights, c) * at(channel, pixel))),
      );
    });
    expectClose(await run(create('score-cam', { batch: 7 }), x, { layer }), expected, TOLERANCE);
  });

  describe('of a linear model', () => {
    const side = 7;
    const x: Images = { data: randomArray(8, [1, 3, side, side]), shape: [1, 3, side, side] };
    const pixels = side * side;
    const weights = randomArray(9, [3, 3 * pixels]);

    class LinearModel extends Module {
      readonly linear = new Linear(3 * pixels, 3);

      forward(x: Tensor, pass: ForwardPass): Tensor {
        return pass.call(this.linear, reshape(x, [-1, 3 * pixels]));
      }
    }
    const module = new LinearModel();
    module.loadValues(
      new Map([
        ['linear.weight', { data: weights }],
        ['linear.bias', { data: Float32Array.of(0.5, -1, 2) }],
      ]),
    );
    const model = kept(new Model('resnet20-cifar10', module, ['a', 'b', 'c']));
    const classes = [[2, 0]];
    const call = { model, layer: '', classes };
    /** What pixel j adds to logit k when its colours become those of a fill. */
    const change = (k: number, j: number, fill: readonly number[]) =>
      total([0, 1, 2].map((c) => at(weights, (3 * k + c) * pixels + j) * (at(fill, c) - at(x.data, c * pixels + j))));

    it.each<[MethodOptions, number[]]>([
      [{ patch: 3, stride: 2 }, [0, 0, 0]],
      [{ patch: 2, stride: 2, fill: 0.25, batch: 5 }, [0.25, 0.25, 0.25]],
      [{ patch: 4, stride: 3, fill: [1, -1, 0.5] }, [1, -1, 0.5]],
    ])('occlusion is the mean loss of the patches that cover a pixel: %j', async (options, fill) => {
      const { patch = 0, stride = 0 } = options;
      const starts: number[] = [];
      for (let start = 0; start < side - patch; start += stride) starts.push(start);
      starts.push(side - patch);
      const expected = at(classes, 0).flatMap((k) =>
        Array.from({ length: pixels }, (_, i) => {
          const losses: number[] = [];
          for (const top of starts) {
            for (const left of starts) {
              const covers = (j: number) => {
                const [y, x] = [Math.floor(j / side) - top, (j % side) - left];
                return y >= 0 && y < patch && x >= 0 && x < patch;
              };
              if (!covers(i)) continue;
              const covered = Array.from({ length: pixels }, (_, j) => j).filter(covers);
              losses.push(-total(covered.map((j) => change(k, j, fill))));
            }
          }
          return total(losses) / losses.length;
        }),
      );
      expectClose(await run(create('occlusion', options), x, call), expected, 10 * TOLERANCE);
    });

    it('RISE with masks that keep everything is the score', async () => {
      const method = (score: 'logit' | 'probability') => create('rise', { probability: 1, samples: 3, score });
      const logits = at(await logitsOf(x, {}, model), 0);
      const constant = (scores: readonly number[]) =>
        at(classes, 0).flatMap((k) => new Array(pixels).fill(at(scores, k)));
      expectClose(await run(method('logit'), x, call), constant(logits), TOLERANCE);
      expectClose(await run(method('probability'), x, call), constant(softmax(logits)), TOLERANCE);
    });

    it('RISE expects of a far pixel the score of half of the image, and of a pixel that counts more', async () => {
      // Only the first pixel is not 0: the logit is bias + m w x, and E[(b + m w x) m'] / p = b + p w x for a mask m'
      // of a pixel that shares no cell with the first one.
      const only: Images = { ...x, data: Array.from(x.data, (value, i) => (i % pixels === 0 ? value : 0)) };
      const samples = 2000;
      const [map] = parts(await run(create('rise', { cells: 3, samples, score: 'logit' }), only, call), 2);
      const share = -change(2, 0, [0, 0, 0]);
      const far = at(map ?? [], pixels - 1);
      // Each term is at most 2 (|b| + |w x|), and 4 standard errors are allowed.
      const tolerance = (4 * 2 * (2 + Math.abs(share))) / Math.sqrt(samples);
      expect(Math.abs(far - (2 + 0.5 * share))).toBeLessThan(tolerance);
      expect(Math.sign(at(map ?? [], 0) - far)).toBe(Math.sign(share));
    });

    it('RISE depends on the seed, not on the batches', async () => {
      const map = (options: MethodOptions) => run(create('rise', { samples: 7, ...options }), x, call);
      const reference = await map({});
      expectClose(await map({ batch: 2 }), reference, TOLERANCE);
      expect(await map({ seed: 2 })).not.toEqual(reference);
    });
  });

  describe('counterfactual targets', () => {
    const negative = (values: readonly number[]) => values.map((value) => -value);
    const counterfactual = true;

    it.each([
      ...(['grad-cam', 'hires-cam', 'xgrad-cam', 'cam', 'ablation-cam', 'occlusion', 'rise', 'seg-xres-cam'] as const),
      ...(['input-x-gradient', 'integrated-gradients', 'lrp'] as const),
    ])('turn the sign of %s', async (name) => {
      const expected = negative(await run(create(name), image(1)));
      expectClose(await run(create(name), image(1), { counterfactual }), expected, TOLERANCE);
    });

    it('of LayerCAM take what the positive part left', async () => {
      const [positive, against, whole] = [
        await run(create('layer-cam'), image(1), { layer: 'layer2' }),
        await run(create('layer-cam'), image(1), { layer: 'layer2', counterfactual }),
        await run(create('hires-cam'), image(1), { layer: 'layer2' }),
      ];
      expectClose(
        positive.map((value, i) => value - at(against, i)),
        whole,
        TOLERANCE,
      );
    });
  });

  describe('seg-xres-cam', () => {
    const half = (x: number) => ({ region: { x, y: 0, width: SIDE / 2, height: SIDE } });

    it.each(['layer3', 'layer2'])('regions add up to HiResCAM: %s', async (layer) => {
      const [left, right, whole] = [
        await run(create('seg-xres-cam', half(0)), image(2), { layer }),
        await run(create('seg-xres-cam', half(SIDE / 2)), image(2), { layer }),
        await run(create('hires-cam'), image(2), { layer }),
      ];
      expectClose(
        left.map((value, i) => value + at(right, i)),
        whole,
        TOLERANCE,
      );
      expectClose(await run(create('seg-xres-cam', {}), image(2), { layer }), whole, TOLERANCE);
    });

    it('has nothing outside of the region at the last layer', async () => {
      // A quarter of the first pixel of the layer, and half of the second.
      const region = { x: 2, y: 2, width: 4, height: 2 };
      const map = await run(create('seg-xres-cam', { region }), image(2));
      const whole = await run(create('hires-cam'), image(2));
      const share = (pixel: number) => (pixel === 0 || pixel === 1 ? 0.25 : 0);
      expectClose(
        map,
        whole.map((value, i) => value * share(i % 16)),
        TOLERANCE,
      );
    });

    it('averages gradients over windows, with zeros beyond the border', async () => {
      const pool = 3;
      const { data } = await activationsAt('layer3', image(2));
      const weights = network.module.parameters().get('linear.weight')?.values ?? [];
      const region = { x: 0, y: 0, width: 4, height: 4 };
      const map = await run(create('seg-xres-cam', { region, pool }), image(2));
      // The gradient is w[k,c] / 16 at the first pixel, and 0 elsewhere.
      const expected = CLASSES.flatMap((k) =>
        Array.from({ length: 16 }, (_, pixel) => {
          const inWindow = Math.floor(pixel / 4) < pool && pixel % 4 < pool;
          const channels = Array.from({ length: 64 }, (_, c) => at(weights, 64 * k + c) * at(data, 16 * c + pixel));
          return inWindow ? total(channels) / 16 / pool ** 2 : 0;
        }),
      );
      expectClose(map, expected, TOLERANCE);
    });
  });

  describe('refuse', () => {
    const refused = async (
      message: string,
      name: MethodName,
      options: MethodOptions,
      call: Partial<MethodCall> = {},
    ) => {
      await expect(run(create(name, options), image(1), call)).rejects.toThrow(new UsageError(message));
    };

    it('a layer that is not averaged and classified at once, for CAM', () =>
      refused(
        'cam needs a layer of which the averages go into the linear head at once, and "layer2" of resnet20-cifar10 is none; choose layer3, or the method grad-cam',
        ...(['cam', {}, { layer: 'layer2' }] as const),
      ));

    it.each([
      { x: -1, y: 0, width: 4, height: 4 },
      { x: 14, y: 0, width: 4, height: 4 },
      { x: 0, y: 0, width: 0, height: 4 },
      { x: 0, y: Number.NaN, width: 4, height: 4 },
    ])('a region outside of the image: %j', (region) =>
      refused(
        `region ${Object.values(region).join(',')} is not inside of the image that the network sees; use x,y,width,height within 16 x 16 pixels`,
        'seg-xres-cam',
        { region },
      ),
    );

    it('patches that are too large or too far from each other', async () => {
      await refused('patch 17 is larger than the image of 16 x 16 pixels; use a smaller one', 'occlusion', {
        patch: 17,
      });
      await refused('stride 4 is longer than the patch of 3, and leaves pixels out; use 3 or less', 'occlusion', {
        ...{ patch: 3, stride: 4 },
      });
    });
  });
});

describe('the table of methods', () => {
  it('has a method, and the fusion of it where there are maps of classes, under every name', () => {
    expect(METHOD_NAMES).toContain('fm-g-cam');
    expect(METHOD_NAMES).not.toContain('fm-eigen-cam');
    for (const name of METHOD_NAMES) {
      const named = namedMethod(name);
      expect(named.fused).toBe(name.startsWith('fm-'));
      expect(named.info).toBe(METHODS[named.base]);
      expect(createMethod(named)).toBeTypeOf('function');
    }
    expect(namedMethod('fm-grad-cam')).toEqual(namedMethod('fm-g-cam'));
    expect(namedMethod('fm-score-cam').title).toBe('FM-Score-CAM');
  });

  it.each<[string, RegExp]>([
    [
      'gradcam',
      /^method "gradcam" is unknown; use fm-g-cam, or grad-cam, .*, lrp, or fm- and one of these to fuse it$/,
    ],
    ['toString', /^method "toString" is unknown/],
    ['fm-', /^method "fm-" is unknown/],
    ['fm-dff', /^method "fm-dff": dff has no map for each class, and nothing to fuse; use dff$/],
  ])('refuses %s', (name, message) => {
    expect(() => namedMethod(name)).toThrow(UsageError);
    expect(() => namedMethod(name)).toThrow(message);
  });

  it.each<[MethodName, MethodOptions, string]>([
    ['fm-g-cam', { patch: 3 }, 'fm-g-cam has no option patch; it knows eigenSmooth'],
    ['gradient', { seed: 3 }, 'gradient has no option seed; it has none'],
    ['occlusion', { patch: 0 }, 'patch 0 is out of range; use a whole number of 1 or more'],
    ['occlusion', { stride: 1.5 }, 'stride 1.5 is out of range; use a whole number of 1 or more'],
    ['occlusion', { fill: Number.NaN }, 'fill NaN is no colour; use one number, or three of them'],
    ['occlusion', { fill: [0, 1] as never }, 'fill 0,1 is no colour; use one number, or three of them'],
    ['occlusion', { score: 'rank' as never }, 'score "rank" is unknown; use logit or probability'],
    ['rise', { samples: 0 }, 'samples 0 is out of range; use a whole number of 1 or more'],
    ['rise', { cells: -1 }, 'cells -1 is out of range; use a whole number of 1 or more'],
    ['rise', { probability: 0 }, 'probability 0 is out of range; use a number above 0 and up to 1'],
    ['score-cam', { batch: 0 }, 'batch 0 is out of range; use a whole number of 1 or more'],
    ['ablation-cam', { batch: 0.5 }, 'batch 0.5 is out of range; use a whole number of 1 or more'],
    ['seg-xres-cam', { pool: 0 }, 'pool 0 is out of range; use a whole number of 1 or more'],
    ['dff', { concepts: 0 }, 'concepts 0 is out of range; use a whole number of 1 or more'],
    ['augmented-grad-cam', { factor: 0 }, 'factor 0 is out of range; use a whole number of 1 or more'],
    ['augmented-grad-cam', { angle: -1 }, 'angle -1 is out of range; use 0 to 180 degrees'],
    ['augmented-grad-cam', { shift: 1 }, 'shift 1 is out of range; use a fraction below 1'],
    ['grad-cam++', { epsilon: -1 }, 'epsilon -1 is out of range; use 0, or a small number above it'],
  ])('refuses an option: %s %j', (name, options, message) => {
    expect(() => create(name, options)).toThrow(new UsageError(message));
  });
});

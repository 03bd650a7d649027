import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { type ExplainMethodOptions, type Explanation, explainTensor } from '../../src/cam/explain.ts';
import { explain, type ImageExplanation } from '../../src/cam/explain-image.ts';
import { type BaseMethodName, METHODS, type MethodName, type MethodOptions } from '../../src/cam/methods.ts';
import { UsageError } from '../../src/errors.ts';
import type { RgbImage } from '../../src/image/image.ts';
import { tensor } from '../../src/kernels/index.ts';
import { Scope, withScope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';
import { randomArray, randomModel } from '../support/random-model.ts';

const SIDE = 16;
const SHAPE = [1, 3, SIDE, SIDE];

/** A few samples will do here. */
const FEW: Partial<Record<BaseMethodName, MethodOptions>> = {
  occlusion: { patch: 8, stride: 8 },
  rise: { samples: 2 },
  'smooth-grad': { samples: 1 },
  'integrated-gradients': { steps: 1 },
  'augmented-grad-cam': { samples: 2, factor: 2, steps: 2 },
};
const PER_CLASS = (Object.keys(METHODS) as BaseMethodName[]).filter((name) => METHODS[name].perClass);
const optionsOf = (base: BaseMethodName): ExplainMethodOptions => ({
  ...(FEW[base] && { methodOptions: FEW[base] }),
  // The layer with the fewest channels, each of which takes a pass.
  ...(base === 'score-cam' && { layer: 'layer1' }),
});

/** A photograph of noise. */
function photo(seed: number, width = 24, height = 20): RgbImage {
  const values = randomArray(seed, [height, width, 3]);
  return { width, height, data: Uint8Array.from(values, (value) => 127 + 127 * value) };
}

describeDevice('explanations by any method', (device) => {
  const model = randomModel();
  afterEach(() => vi.restoreAllMocks());
  afterAll(() => {
    model.release(device());
    expect(device().memory().blocks, 'blocks left on the device').toBe(0);
  });

  /** What `read` reads of the explanation of an image, or several. */
  const explained = <Result>(
    options: ExplainMethodOptions,
    read: (explanation: Explanation) => Promise<Result>,
    seeds: readonly number[] = [1],
  ): Promise<Result> =>
    withScope(async (scope) => {
      const values = seeds.flatMap((seed) => [...randomArray(seed, SHAPE)]);
      const input = tensor(device(), values, [seeds.length, ...SHAPE.slice(1)], { scope });
      using explanation = await explainTensor(model, input, options);
      return read(explanation);
    });
  const raw = (options: ExplainMethodOptions) =>
    explained(options, async ({ tensors }) => Array.from(await tensors.raw.data()));
  const maps = (options: ExplainMethodOptions) => explained(options, async ({ maps }) => Array.from(await maps.data()));

  it('fm-g-cam is fm-grad-cam, and what comes without a method', async () => {
    const everything = (explanation: Explanation) =>
      Promise.all(Object.values(explanation.steps).map(async (step) => Array.from(await step.data())));
    const expected = await explained({}, everything);
    for (const method of ['fm-g-cam', 'fm-grad-cam'] as const) {
      expect(await explained({ method }, everything)).toEqual(expected);
      expect(await explained({ method }, async ({ method }) => method)).toBe('fm-g-cam');
    }
    expect(await maps({ method: 'fm-g-cam' })).toEqual(
      await explained({}, async ({ steps }) => Array.from(await steps.fm_g_cam.data())),
    );
  });

  it('grad-cam is that of Algorithm 1', async () => {
    const expected = await explained({}, async ({ steps }) => Array.from(await steps.grad_cam.data()));
    expect(await maps({ method: 'grad-cam' })).toEqual(expected);
    const positive = (await raw({ method: 'grad-cam' })).map((value) => Math.max(value, 0));
    expect(positive).toEqual(expected);
  });

  it.each(PER_CLASS)('with one class the fusion of a method is the method up to normalisation: %s', async (base) => {
    const options = { classes: [3], ...optionsOf(base) };
    const single = await maps({ ...options, method: base });
    const fused = await maps({ ...options, method: `fm-${base}` as MethodName });
    const rawMap = await raw({ ...options, method: base });
    const norm = Math.hypot(...rawMap);
    expect(norm).toBeGreaterThan(0);
    expectClose(
      fused,
      single.map((value) => value / norm),
      TOLERANCE,
    );
  });

  it('fuses the maps of any method by equations 4 to 6', async () => {
    const options = { classes: [3, 8, 0], layer: 'layer2' };
    const R = await raw({ ...options, method: 'layer-cam' });
    const pixels = R.length / 3;
    const S = R.map((value, i) => {
      const largest = Math.max(...[0, 1, 2].map((k) => at(R, k * pixels + (i % pixels))));
      return value === largest ? value : 0;
    });
    const expected = S.map((value) => value / Math.hypot(...S));
    expectClose(await maps({ ...options, method: 'fm-layer-cam', signed: true }), expected, TOLERANCE, 'signed');
    const elu = expected.map((value) => (value < 0 ? Math.expm1(value) : value));
    expectClose(await maps({ ...options, method: 'fm-layer-cam', activation: 'elu' }), elu, TOLERANCE, 'ELU');
  });

  it('signed keeps what is negative', async () => {
    const options = { method: 'hires-cam', classes: [3, 8] } as const;
    const signed = await maps({ ...options, signed: true });
    expect(signed).toEqual(await raw(options));
    expect(Math.min(...signed)).toBeLessThan(0);
    expect(await maps(options)).toEqual(signed.map((value) => Math.max(value, 0)));
  });

  it('counterfactual FM-G-CAM shows where each class loses most', async () => {
    const options = { classes: [3, 8] } as const;
    const against = await raw({ ...options, method: 'fm-g-cam', counterfactual: true });
    const expected = await raw({ ...options, method: 'grad-cam' });
    expectClose(
      against,
      expected.map((value) => -value),
      TOLERANCE,
    );
  });

  it('several layers count alike: the mean of maps over their largest magnitude, at the finest resolution', async () => {
    const options = { method: 'grad-cam', classes: [3, 8] } as const;
    const [coarse, fine, both] = [
      await raw({ ...options, layer: 'layer3' }),
      await raw({ ...options, layer: 'layer2' }),
      await raw({ ...options, layers: ['layer3', 'layer2'] }),
    ];
    const scaled = (map: readonly number[]) => {
      const largest = Math.max(...map.map(Math.abs));
      return map.map((value) => value / largest);
    };
    const small = scaled(coarse);
    // Bilinear from 4 x 4 to 8 x 8 with half-pixel centres.
    const upsampled = (k: number, y: number, x: number) => {
      const place = (i: number) => Math.min(3, Math.max(0, (i + 0.5) / 2 - 0.5));
      const value = (i: number, j: number) => at(small, 16 * k + 4 * i + j);
      const [v, u] = [place(y), place(x)];
      const [top, left] = [Math.floor(v), Math.floor(u)];
      const [bottom, right] = [Math.min(top + 1, 3), Math.min(left + 1, 3)];
      const along = (i: number) => value(i, left) * (1 - (u - left)) + value(i, right) * (u - left);
      return along(top) * (1 - (v - top)) + along(bottom) * (v - top);
    };
    const expected = scaled(fine).map(
      (value, i) => (value + upsampled(Math.floor(i / 64), Math.floor((i % 64) / 8), i % 8)) / 2,
    );
    expectClose(both, expected, TOLERANCE);
    expect(await raw({ ...options, layers: ['layer2'] })).toEqual(fine);
  });

  it('augSmooth is the mean over reflected, darker and brighter images', async () => {
    const image = randomArray(1, SHAPE);
    const reflected = (values: ArrayLike<number>, width: number) =>
      Array.from(values, (_, i) => at(values, i - (i % width) + (width - 1 - (i % width))));
    const options = { method: 'hires-cam', classes: [3, 8], layer: 'layer2' } as const;
    const versions: number[][] = [];
    for (const brightness of [1, 0.9, 1.1]) {
      for (const mirrored of [false, true]) {
        using scope = new Scope();
        const version = image.map((value) => value * Math.fround(brightness));
        const input = tensor(device(), mirrored ? reflected(version, SIDE) : version, SHAPE, { scope });
        using explanation = await explainTensor(model, input, options);
        const map = await explanation.tensors.raw.data();
        versions.push(mirrored ? reflected(map, SIDE / 2) : Array.from(map));
      }
    }
    const expected = at(versions, 0).map((_, i) => versions.reduce((sum, map) => sum + at(map, i), 0) / 6);
    expectClose(await raw({ ...options, augSmooth: true }), expected, TOLERANCE);
  });

  it('eigenSmooth of HiResCAM is Eigen-GradCAM', async () => {
    const options = { classes: [3, 8], layer: 'layer2' };
    const expected = await raw({ ...options, method: 'eigen-grad-cam' });
    expectClose(await raw({ ...options, method: 'hires-cam', eigenSmooth: true }), expected, TOLERANCE);
  });

  it('methods without classes have the maps that they find', async () => {
    const shapeOf = (options: ExplainMethodOptions) => explained(options, async ({ maps }) => maps.shape);
    expect(await shapeOf({ method: 'eigen-cam' })).toEqual([1, 1, 4, 4]);
    expect(await shapeOf({ method: 'dff', methodOptions: { concepts: 3, steps: 2 } })).toEqual([1, 3, 4, 4]);
    expect(await shapeOf({ method: 'dff', topK: 2, methodOptions: { steps: 2 } })).toEqual([1, 2, 4, 4]);
  });

  it('the classes of each image are its own', async () => {
    const of = (seeds: readonly number[]) =>
      explained(
        { method: 'fm-xgrad-cam', topK: 2 },
        async ({ classes, maps }) => ({ classes, maps: Array.from(await maps.data()) }),
        seeds,
      );
    const [first, second, both] = [await of([1]), await of([2]), await of([1, 2])];
    const indices = ({ classes }: typeof both) => classes.map((ofImage) => ofImage.map(({ index }) => index));
    expect(indices(both)).toEqual([...indices(first), ...indices(second)]);
    expectClose(both.maps, [...first.maps, ...second.maps], TOLERANCE);
  });

  it('reuses the pass that found the classes', async () => {
    const forward = vi.spyOn(model, 'forward');
    for (const method of ['fm-g-cam', 'hires-cam', 'eigen-grad-cam', 'cam'] as const) await raw({ method });
    expect(forward).toHaveBeenCalledTimes(4);
  });

  describe('refuse', () => {
    it.each<[string, ExplainMethodOptions, string]>([
      [
        'a layer for a method without',
        { method: 'rise', layer: 'layer3' },
        'rise explains the image itself; leave the layer out',
      ],
      [
        'layers for a method without',
        { method: 'lrp', layers: ['layer3'] },
        'lrp explains the image itself; leave the layer out',
      ],
      ['no layers', { layers: [] }, 'layers is empty; name at least one layer'],
      ['layer and layers', { layer: 'layer1', layers: ['layer2'] }, 'give either layer or layers, not both'],
      [
        'an unknown layer among several',
        { layers: ['layer3', 'layer9'] },
        'layer "layer9" not found; this model has conv1, bn1, layer1, layer2, layer3, linear',
      ],
      [
        'mode reference of another method',
        { method: 'fm-hires-cam', mode: 'reference' },
        'mode reference is FM-G-CAM at one layer; leave the mode out, or the other options',
      ],
      [
        'mode reference with a change',
        { augSmooth: true, mode: 'reference' },
        'mode reference is FM-G-CAM at one layer; leave the mode out, or the other options',
      ],
      [
        'eigenSmooth where no channels are summed',
        { method: 'rise', eigenSmooth: true },
        'rise has no option eigenSmooth; it knows samples, cells, probability, seed, score, batch',
      ],
      [
        'more concepts than there are channels or pixels',
        { method: 'dff', methodOptions: { concepts: 1000 } },
        'concepts 1000 is out of range: 16 pixels of 64 channels have at most 16; use fewer',
      ],
      [
        'concepts of several layers',
        { method: 'dff', layers: ['layer2', 'layer3'] },
        'dff finds other concepts in each layer and version of the image, which have no mean; leave augSmooth out, and name one layer',
      ],
    ])('%s', async (_, options, message) => {
      await expect(raw(options)).rejects.toThrow(new UsageError(message));
    });

    it('steps of what has none', async () => {
      await expect(explained({ method: 'score-cam' }, async ({ steps }) => steps)).rejects.toThrow(
        'this explanation by score-cam has no steps of Algorithm 1; read its tensors',
      );
    });
  });

  it.each<ExplainMethodOptions>([
    {},
    { method: 'fm-score-cam' },
    { method: 'hires-cam', layers: ['layer2', 'layer3'] },
    { augSmooth: true },
  ])('is cancelled, and leaves nothing behind: %j', async (options) => {
    await withScope(async (scope) => {
      const input = tensor(device(), randomArray(1, SHAPE), SHAPE, { scope });
      model.forward(input).dispose();
      const { live } = device().memory();
      const controller = new AbortController();
      const reason = new Error('enough');
      setTimeout(() => controller.abort(reason));
      const call = explainTensor(model, input, { ...options, signal: controller.signal });
      await expect(call).rejects.toBe(reason);
      expect(device().memory().live).toBe(live);
    });
  });

  describe('of photographs', () => {
    const settings = { topK: 2, size: SIDE } as const;
    const singles = ({ singles }: ImageExplanation) => singles.flatMap(({ data }) => [...data]);

    it('an array comes back for an array, and each is what it is by itself', async () => {
      const photos = [photo(1), photo(2, 30, 17)];
      const batch = await explain(model, photos, { ...settings, device: device() });
      for (const [n, image] of photos.entries()) {
        using alone = await explain(model, image, { ...settings, device: device() });
        const explanation = at(batch, n);
        expect(explanation.photo).toBe(image);
        expect(explanation.region).toEqual(alone.region);
        expect(explanation.classes.map(({ name }) => name)).toEqual(alone.classes.map(({ name }) => name));
        expectClose(singles(explanation), singles(alone), TOLERANCE);
        expectClose(await explanation.steps.alpha.data(), await alone.steps.alpha.data(), TOLERANCE);
        explanation.dispose();
      }
      await expect(explain(model, [], { device: device() })).rejects.toThrow('images is empty; give at least one');
    });

    it('a region is in pixels of the photograph', async () => {
      const method = { method: 'seg-xres-cam' } as const;
      const map = async (region: MethodOptions['region'], image = photo(1, 32, 16)) => {
        using explanation = await explain(model, image, {
          ...{ ...settings, ...method, device: device(), methodOptions: region ? { region } : {} },
        });
        return explanation.singles.flatMap(({ data }) => [...data]);
      };
      const whole = await map(undefined);
      expectClose(await map({ x: 0, y: 0, width: 32, height: 16 }), whole, TOLERANCE);
      // The right half of the photograph is the right half of the map; what stands over is cut off.
      const right = whole.map((value, i) => (i % 4 < 2 ? 0 : value));
      expectClose(await map({ x: 16, y: -5, width: 100, height: 100 }), right, TOLERANCE);
      await expect(map({ x: 40, y: 0, width: 4, height: 4 })).rejects.toThrow(
        new UsageError(
          'region 40,0,4,4 has nothing of what the network sees of the photograph; use a part of 0,0,32,16 (x,y,width,height)',
        ),
      );
    });

    it.each<[ExplainMethodOptions, readonly string[], number]>([
      [{ method: 'fm-g-cam' }, ['1-', '2-'], 2],
      [{ method: 'grad-cam', signed: true }, ['1-', '2-'], 2],
      [{ method: 'fm-occlusion', methodOptions: { patch: 8 }, counterfactual: true }, ['1-', '2-'], 2],
      [{ method: 'eigen-cam' }, [''], 1],
      [{ method: 'dff', methodOptions: { concepts: 3, steps: 2 } }, ['1', '2', '3'], 3],
    ])('has pictures: %j', async (options, names, count) => {
      using explanation = await explain(model, photo(3), { ...settings, ...options, device: device() });
      expect(explanation.singles).toHaveLength(count);
      for (const [k, name] of explanation.singleNames.entries()) {
        expect(name.startsWith(at(names, k))).toBe(true);
        expect(explanation.classPicture(k).data.length).toBeGreaterThan(0);
      }
      expect(explanation.contactSheet().width).toBeGreaterThan((count + 1) * 100);
      expect(explanation.fusedPicture().data.length).toBeGreaterThan(0);
    });
  });
});

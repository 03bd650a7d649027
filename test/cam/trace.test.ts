import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { ACTIVATIONS } from '../../src/cam/algorithm.ts';
import { explainTensor } from '../../src/cam/explain.ts';
import { referenceMaps } from '../../src/cam/reference.ts';
import { type StepName, type TraceOptions, type TraceStep, trace } from '../../src/cam/trace.ts';
import { UsageError } from '../../src/errors.ts';
import { tensor } from '../../src/kernels/index.ts';
import { loadModel, type Model } from '../../src/nn/model.ts';
import type { StateDict } from '../../src/nn/weights/host-array.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { withScope } from '../../src/tensor/scope.ts';
import { at, type Shape } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose, expectMap } from '../support/numbers.ts';
import { randomArray, randomModel } from '../support/random-model.ts';
import { describeShared, shared } from '../support/shared.ts';

const ORDER: readonly StepName[] = [
  ...(['input', 'activations', 'logits', 'probs', 'top', 'gradients', 'alpha', 'R', 'winner', 'margin'] as const),
  ...(['S', 'S_fused', 'S_normalised', 'fm_g_cam_relu', 'fm_g_cam_elu', 'fm_g_cam_gelu', 'unnormalised'] as const),
  ...(['grad_cam', 'reference_alpha', 'reference_R', 'reference_winner', 'reference_margin', 'reference_S'] as const),
  ...(['reference_S_normalised', 'reference_activated'] as const),
  ...(['reference_relu', 'reference_elu', 'reference_gelu', 'reference_no_enhance'] as const),
];

interface Read {
  readonly shape: Shape;
  readonly data: ArrayLike<number>;
  readonly step: TraceStep;
}

async function read(model: Model, input: Tensor, options: TraceOptions): Promise<Map<StepName, Read>> {
  const values = new Map<StepName, Read>();
  for await (const step of trace(model, input, options)) {
    values.set(step.name, { shape: step.tensor.shape, data: await step.tensor.data(), step });
  }
  return values;
}

const numbers = (values: ArrayLike<number>) => Array.from(values);

describeDevice('trace', (device) => {
  const model = randomModel();
  const two = [2, 3, 8, 8];

  /** With two random images. */
  const withInput = <Result>(use: (input: Tensor) => Promise<Result>): Promise<Result> =>
    withScope((scope) => use(tensor(device(), randomArray(5, two), two, { scope })));

  afterEach(() => {
    model.release(device());
    expect(device().memory().blocks, 'blocks left on the device').toBe(0);
  });
  afterAll(() => expect(device().memory().live).toBe(0));

  it('yields the steps of Algorithm 1 in order, each with its equation and function', () =>
    withInput(async (input) => {
      const steps = await read(model, input, { topK: 3 });
      expect([...steps.keys()]).toEqual(ORDER);
      const equations = [...steps].flatMap(([name, { step }]) => (step.equation ? [[step.equation, name]] : []));
      expect(equations).toEqual([
        [1, 'top'],
        [2, 'alpha'],
        [3, 'R'],
        ...['winner', 'margin', 'S'].map((name) => [4, name]),
        [5, 'S_fused'],
        ...['S_normalised', 'fm_g_cam_relu', 'fm_g_cam_elu', 'fm_g_cam_gelu'].map((name) => [6, name]),
      ]);
      expect(steps.get('alpha')?.step).toMatchObject({
        formula: 'alpha[k,c] = 1/(I J) sum over i,j of d y[k] / d a[c,i,j]',
        computedBy: 'channelImportance',
      });
    }));

  it.each(ACTIVATIONS)('has the very values of explainTensor, with %s', (activation) =>
    withInput(async (input) => {
      const options = { classes: [7, 2, 4], layer: 'layer2', activation };
      const steps = await read(model, input, options);
      using explanation = await explainTensor(model, input, { ...options, mode: 'reference' });
      const { fm_g_cam, reference, ...same } = explanation.steps;
      const expected = { ...same, [`fm_g_cam_${activation}`]: fm_g_cam, [`reference_${activation}`]: reference };
      for (const [name, values] of Object.entries(expected)) {
        const actual = steps.get(name as StepName);
        expect(actual?.shape, name).toEqual(values?.shape);
        expect(numbers(actual?.data ?? []), name).toEqual(numbers((await values?.data()) ?? []));
      }
      using plain = referenceMaps(explanation.steps.alpha, explanation.steps.activations, {
        activation,
        enhance: false,
      });
      expect(numbers(steps.get('reference_no_enhance')?.data ?? [])).toEqual(numbers(await plain.data()));
      expect(steps.get('top')?.step.classes).toEqual(explanation.classes);
      expect(numbers(steps.get('top')?.data ?? [])).toEqual([7, 2, 4, 7, 2, 4]);
    }),
  );

  it.each(['', 'reference_'] as const)('says who wins each pixel of %sR, and by how much', (prefix) =>
    withInput(async (input) => {
      const steps = await read(model, input, { topK: 4, layer: 'layer1' });
      const { data, shape } = steps.get(`${prefix}R`) ?? { data: [], shape: [] };
      const [N = 0, K = 0, I = 0, J = 0] = shape;
      const winners = numbers(steps.get(`${prefix}winner`)?.data ?? []);
      const margins = numbers(steps.get(`${prefix}margin`)?.data ?? []);
      expect(steps.get(`${prefix}margin`)?.shape).toEqual([N, 1, I, J]);
      expect(winners).toHaveLength(N * I * J);
      for (let n = 0; n < N; n++) {
        for (let pixel = 0; pixel < I * J; pixel++) {
          const values = Array.from({ length: K }, (_, k) => at(data, (n * K + k) * I * J + pixel));
          const [first = 0, second = 0] = values.toSorted((a, b) => b - a);
          expect(winners[n * I * J + pixel]).toBe(values.indexOf(first));
          expect(margins[n * I * J + pixel]).toBe(Math.fround(first - second));
        }
      }
    }),
  );

  it('has no margin where there is one class', () =>
    withInput(async (input) => {
      const steps = await read(model, input, { topK: 1 });
      expect([...steps.keys()]).toEqual(ORDER.filter((name) => !name.endsWith('margin')));
    }));

  it('computes a step when it is asked for, and not before', () =>
    withInput(async (input) => {
      const run = device().run;
      let kernels = 0;
      device().run = (...call) => {
        kernels += 1;
        run.apply(device(), call);
      };
      try {
        const steps = trace(model, input, { topK: 2 });
        const counts: [StepName, number][] = [];
        for (;;) {
          kernels = 0;
          const { value, done } = await steps.next();
          // Nothing goes on behind the consumer's back.
          await new Promise((resolve) => setTimeout(resolve));
          if (done) break;
          counts.push([value.name, kernels]);
        }
        expect(kernels, 'kernels after the last step').toBe(0);
        const ran = new Map(counts);
        // The forward pass makes three steps at once; classes are found on the host; fusing one tensor is a second handle.
        for (const name of ['input', 'logits', 'probs', 'top', 'S_fused'] as const) expect(ran.get(name), name).toBe(0);
        for (const [name, count] of ran) {
          if (!['input', 'logits', 'probs', 'top', 'S_fused'].includes(name)) expect(count, name).toBeGreaterThan(0);
        }
        expect(ran.get('activations')).toBeGreaterThan(20);
        expect(ran.get('alpha')).toBe(1);
        expect(ran.get('fm_g_cam_relu')).toBe(1);
      } finally {
        device().run = run;
      }
    }));

  it.each(ORDER)('frees everything when it is left at %s', (last) =>
    withInput(async (input) => {
      const before = device().memory().blocks;
      for await (const { name } of trace(model, input, { topK: 2 })) if (name === last) break;
      model.release(device());
      expect(device().memory().blocks).toBe(before);
      expect(input.disposed).toBe(false);
    }),
  );

  it('refuses what explainTensor refuses', () =>
    withInput(async (input) => {
      const start = (options: TraceOptions) => trace(model, input, options).next();
      await expect(start({ topK: 11 })).rejects.toThrow(
        new UsageError('topK 11 is out of range: this model has 10 classes; use 1 to 10'),
      );
      const steps = trace(model, input, { layer: 'layer9' });
      await steps.next();
      await expect(steps.next()).rejects.toThrow('layer "layer9" not found');
      expect(await steps.next()).toEqual({ value: undefined, done: true });
    }));

  describeShared('of a trained network', () => {
    let golden: StateDict;
    beforeAll(() => {
      golden = parseSafetensors(shared('golden/resnet20-dog-cat-64-layer3.2-top5.safetensors'), 'golden');
    });
    const expected = (key: string) => {
      const array = golden.get(key);
      if (!array) throw new Error(`the golden file has no ${key}`);
      return array;
    };

    it('has the values that PyTorch and the authors’ library compute', () =>
      withScope(async (scope) => {
        const trained = loadModel('resnet20-cifar10', shared('models/resnet20-12fca82f.th'));
        const { data, shape } = expected('input');
        const input = tensor(device(), Float32Array.from(data), shape, { scope });
        const steps = await read(trained, input, { layer: 'layer3.2', topK: 5 });
        trained.release(device());
        const valuesOf = (name: StepName) => steps.get(name)?.data ?? [];
        expect(numbers(valuesOf('top'))).toEqual(numbers(expected('top').data));
        for (const name of [
          'logits',
          'probs',
          'activations',
          'gradients',
          'alpha',
          'R',
          'S',
          'S_normalised',
        ] as const) {
          expectClose(valuesOf(name), expected(name).data, TOLERANCE, name);
        }
        for (const name of ACTIVATIONS) {
          expectMap(
            valuesOf(`fm_g_cam_${name}`),
            expected(name === 'relu' ? 'fm_g_cam' : `fm_g_cam_${name}`).data,
            name,
          );
          expectMap(valuesOf(`reference_${name}`), expected(`reference_${name}`).data, `reference ${name}`);
        }
        expectMap(valuesOf('reference_no_enhance'), expected('reference_no_enhance').data, 'no enhance');
      }));
  });
});

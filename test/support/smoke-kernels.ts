import * as f from 'fm-g-cam';

/* Every kernel on small inputs, by the built package, in whatever runs it. All results are plain data. */

/** By name of a case, the values of its results. */
export type Results = Record<string, number[][]>;

export type Kind = 'cpu' | 'webgpu';
/** Makes a tensor of pseudo-random values; the same calls make the same values. */
interface Make {
  (...shape: number[]): f.Tensor;
  /** One that does not change, of values that half precision has: kernels may keep it in another form. */
  constant(...shape: number[]): f.Tensor;
}

/** Every kernel that is not a view at least once, and both ways through those that have two. */
const cases: Record<string, (make: Make) => f.Tensor[]> = {
  'conv2d of 4 channels at a time': (make) =>
    withGradients(
      make,
      (x, weight, bias, residual) => f.conv2d(x, weight, { bias, residual, stride: 2, padding: 1, activation: 'relu' }),
      [make(2, 4, 7, 6), make(8, 4, 3, 3), make(8), make(2, 8, 4, 3)],
    ),
  'conv2d of 3x3 with stride 1': (make) =>
    withGradients(make, (x, weight, bias) => f.conv2d(x, weight, { bias, padding: 1, activation: 'relu' }), [
      make(2, 8, 9, 10),
      make(12, 8, 3, 3),
      make(12),
    ]),
  'conv2d of groups': (make) =>
    withGradients(make, (x, weight) => f.conv2d(x, weight, { groups: 3, dilation: 2 }), [
      make(1, 12, 7, 6),
      make(6, 4, 2, 3),
    ]),
  'conv2d where each channel is a group': (make) =>
    withGradients(make, (x, weight) => f.conv2d(x, weight, { groups: 8, padding: 1 }), [
      make(1, 8, 6, 5),
      make(8, 1, 3, 3),
    ]),
  'conv2d of single channels': (make) =>
    withGradients(make, (x, weight) => f.conv2d(x, weight), [make(1, 3, 5, 6), make(5, 3, 2, 3)]),
  'matmul by tiles': (make) => withGradients(make, f.matmul, [make(3, 17, 9), make(9, 10)]),
  'conv2d and matmul of constant weights': (make) => [
    f.conv2d(make(1, 8, 6, 5), make.constant(12, 8, 3, 3), { padding: 1 }),
    f.conv2d(make(1, 3, 9, 8), make.constant(8, 3, 5, 5), { stride: 2 }),
    f.linear(make(2, 24), make.constant(5, 24)),
    f.linear(make(33, 24), make.constant(8, 24)),
  ],
  'matmul split over the depth': (make) => [f.linear(make(2, 300), make(5, 300), make(5))],
  maxPool2d: (make) =>
    withGradients(make, (x) => f.maxPool2d(x, { kernel: 3, stride: 2, padding: 1 }), [make(2, 3, 7, 6)]),
  avgPool2d: (make) => withGradients(make, (x) => f.avgPool2d(x, { kernel: 2 }), [make(2, 3, 6, 7)]),
  adaptiveAvgPool2d: (make) => withGradients(make, (x) => f.adaptiveAvgPool2d(x, [2, 3]), [make(1, 4, 5, 7)]),
  resize: (make) => withGradients(make, (x) => f.resize(x, { size: [9, 4], mode: 'bilinear' }), [make(1, 2, 4, 7)]),
  softmax: (make) => withGradients(make, (x) => f.softmax(x), [make(3, 11)]),
  logSoftmax: (make) => withGradients(make, (x) => f.logSoftmax(x, 0), [make(3, 11)]),
  'reduce few values': (make) => [f.sum(make(5, 3), [1]), f.max(make(5, 3), [0])],
  'reduce many values': (make) => [f.mean(make(2, 3, 40, 41), [2, 3]), f.max(make(2000))],
  argmax: (make) => [f.argmax(make(4, 9), 1)],
  topk: (make) => [...withGradients(make, (x) => f.topk(x, 3).values, [make(2, 10)]), f.topk(make(2, 10), 3).indices],
  pointwise: (make) => withGradients(make, (a, b) => f.mul(f.gelu(a), f.sigmoid(f.sub(a, b))), [make(2, 5), make(5)]),
  assemble: (make) => [f.pad(f.concat([make(2, 3), make(2, 4)], 1), [1, 0], [0, 2], 0.5)],
  copy: (make) => [f.channelsLast(make(2, 3, 4, 5)), f.contiguous(f.transpose(make(4, 6)))],
};

export const CASES: readonly string[] = Object.keys(cases);

/** f(inputs), and the gradients of two scores with respect to each input. */
function withGradients(make: Make, compute: (...inputs: f.Tensor[]) => f.Tensor, inputs: f.Tensor[]): f.Tensor[] {
  const { output, gradients } = f.vjp(compute, inputs, ({ shape }) => make(2, ...shape));
  return [output, ...gradients];
}

/** By name of the case, the values of its results; and the number of different kernels that ran. */
export async function runKernels(kind: Kind): Promise<{ results: Results; kernels: number }> {
  const device = await f.createDevice(kind);
  try {
    const kernels = countKernels(device);
    return { results: await runCases(device), kernels: kernels.size };
  } finally {
    device.destroy();
  }
}

function countKernels(device: f.Device): Set<unknown> {
  const seen = new Set<unknown>();
  const run = device.run.bind(device);
  device.run = (kernel, ...operands) => {
    seen.add(kernel);
    run(kernel, ...operands);
  };
  return seen;
}

function maker(device: f.Device, scope: f.Scope): Make {
  let state = 1;
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff; // the C standard's example generator
    return state / 2 ** 30 - 1;
  };
  const values = (shape: number[]) =>
    Float32Array.from({ length: shape.reduce((product, length) => product * length, 1) }, next);
  return Object.assign((...shape: number[]) => f.tensor(device, values(shape), shape, { scope }), {
    constant(...shape: number[]) {
      const halves = values(shape).map((value) => Math.round(1024 * value) / 1024);
      return f.tensor(device, halves, shape, { scope, constant: true });
    },
  });
}

/** Some of the cases on a device, or all. */
export async function runCases(device: f.Device, names = CASES): Promise<Results> {
  const results: Results = {};
  for (const name of names) {
    results[name] = await f.withScope(async (scope) => {
      const outputs = cases[name]?.(maker(device, scope)) ?? [];
      return Promise.all(outputs.map(async (output) => Array.from(await output.data())));
    });
  }
  return results;
}

/** How kernels are asked for, and the names of cases. */
export interface Choice {
  readonly options: f.DeviceOptions;
  readonly cases: readonly string[];
}

/** The cases of each choice, with its kernels; or why the adapter cannot run them. */
export async function runVariants(choices: readonly Choice[]): Promise<(Results | string)[]> {
  const variants: (Results | string)[] = [];
  for (const { options, cases } of choices) {
    try {
      const device = await f.createDevice('webgpu', options);
      try {
        variants.push(await runCases(device, cases));
      } finally {
        device.destroy();
      }
    } catch (error) {
      if (!/cannot (run the tiles|keep weights)/.test(String(error))) throw error;
      variants.push(String(error));
    }
  }
  return variants;
}

import * as f from 'fm-g-cam';

/* What the page of smoke.test.ts does, bundled from the built package. Everything that goes back to the test is plain data. */

type Kind = 'cpu' | 'webgpu';
/** Makes a tensor of pseudo-random values; the same calls make the same values. */
type Make = (...shape: number[]) => f.Tensor;

/** Every kernel that is not a view at least once, and both ways through those that have two. */
const cases: Record<string, (make: Make) => f.Tensor[]> = {
  'conv2d of 4 channels at a time': (make) =>
    withGradients(
      make,
      (x, weight, bias, residual) => f.conv2d(x, weight, { bias, residual, stride: 2, padding: 1, activation: 'relu' }),
      [make(2, 4, 7, 6), make(8, 4, 3, 3), make(8), make(2, 8, 4, 3)],
    ),
  'conv2d of single channels': (make) =>
    withGradients(make, (x, weight) => f.conv2d(x, weight), [make(1, 3, 5, 6), make(5, 3, 2, 3)]),
  'matmul by tiles': (make) => withGradients(make, f.matmul, [make(3, 17, 9), make(9, 10)]),
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

/** f(inputs), and the gradients of two scores with respect to each input. */
function withGradients(make: Make, compute: (...inputs: f.Tensor[]) => f.Tensor, inputs: f.Tensor[]): f.Tensor[] {
  const { output, gradients } = f.vjp(compute, inputs, ({ shape }) => make(2, ...shape));
  return [output, ...gradients];
}

/** A script that is evaluated from outside is exempt from the page's policy until its task ends. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** By name of the case, the values of its results; and the number of different kernels that ran. */
async function runKernels(kind: Kind): Promise<{ results: Record<string, number[][]>; kernels: number }> {
  await nextTask();
  const device = await f.createDevice(kind);
  try {
    const kernels = countKernels(device);
    const results: Record<string, number[][]> = {};
    for (const [name, compute] of Object.entries(cases)) {
      results[name] = await f.withScope(async (scope) => {
        const outputs = compute(maker(device, scope));
        return Promise.all(outputs.map(async (output) => Array.from(await output.data())));
      });
    }
    return { results, kernels: kernels.size };
  } finally {
    device.destroy();
  }
}

/** The kernels twice on a device with threads: the second time they have had time to start, or to fail to. */
async function runOnThreads(threads: number) {
  const device = await f.createDevice('cpu', { threads });
  try {
    const run = async () => {
      const results: number[][] = [];
      for (const compute of Object.values(cases)) {
        await f.withScope(async (scope) => {
          for (const output of compute(maker(device, scope))) results.push(Array.from(await output.data()));
        });
      }
      return results;
    };
    const first = await run();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const second = await run();
    return {
      isolated: crossOriginIsolated,
      threads: 'threads' in device ? device.threads : 0,
      results: [first, second],
    };
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
  return (...shape) => {
    const size = shape.reduce((product, length) => product * length, 1);
    return f.tensor(device, Float32Array.from({ length: size }, next), shape, { scope });
  };
}

/** Explains a photograph, and makes its fused picture both as it is and as a PNG file. */
async function explain(kind: Kind, photo: string, options: { layer: string; size: number; topK: number }) {
  await nextTask();
  const device = await f.createDevice(kind);
  try {
    const model = f.loadModel('resnet20-cifar10', await download('models/resnet20-12fca82f.th'));
    const explanation = await f.explain(model, await download(photo), { device, ...options });
    const picture = explanation.fusedPicture();
    const report = {
      classes: explanation.classes.map(({ index, probability }) => ({ index, probability })),
      maps: explanation.fused.flatMap(({ data }) => Array.from(data)),
      picture: { ...picture, data: toBase64(picture.data) },
      png: toBase64(await f.encodePng(picture)),
    };
    explanation.dispose();
    model.release(device);
    return { ...report, blocksLeft: device.memory().blocks };
  } finally {
    device.destroy();
  }
}

/** The pixels of PNG and JPEG files; files and pixels in base64. */
async function decode(files: string[]): Promise<string[]> {
  await nextTask();
  const images = files.map((file) => f.decodeImage(fromBase64(file), 'a file'));
  return (await Promise.all(images)).map(({ data }) => toBase64(data));
}

/** What becomes of an attempt to run a text, which the policy has to forbid. */
async function runText(): Promise<string> {
  await nextTask();
  try {
    return new Function('return "it ran"')();
  } catch (error) {
    return String(error);
  }
}

async function download(path: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(path)).arrayBuffer());
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

export const checks = { decode, explain, runKernels, runOnThreads, runText };
Object.assign(globalThis, { checks });

import * as f from 'fm-g-cam';
import { type Kind, runCases, runKernels, runVariants } from '../support/smoke-kernels.ts';

/* What the page of smoke.test.ts does, bundled from the built package. Everything that goes back to the test is plain data. */

function underPolicy<Args extends unknown[], T>(run: (...args: Args) => Promise<T>): (...args: Args) => Promise<T> {
  return async (...args) => {
    await nextTask();
    return run(...args);
  };
}

/** A script that is evaluated from outside is exempt from the page's policy until its task ends. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** The kernels twice on a device with threads: the second time they have had time to start, or to fail to. */
async function runOnThreads(threads: number) {
  const device = await f.createDevice('cpu', { threads });
  try {
    const run = async () => Object.values(await runCases(device)).flat();
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

interface ExplainCase {
  readonly photo: string;
  readonly options: { readonly layer: string; readonly size: number; readonly topK: number };
}

/** Explains photographs on one device, and makes their fused pictures both as they are and as PNG files. */
async function explain(kind: Kind, cases: readonly ExplainCase[]) {
  await nextTask();
  const device = await f.createDevice(kind);
  const reports = [];
  try {
    for (const { photo, options } of cases) {
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
      reports.push({ ...report, blocksLeft: device.memory().blocks });
    }
    return reports;
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

export const checks = {
  decode,
  explain,
  runKernels: underPolicy(runKernels),
  runVariants: underPolicy(runVariants),
  runOnThreads,
  runText,
};
Object.assign(globalThis, { checks });

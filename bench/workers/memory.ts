import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Device, Model } from '../../src/index.ts';
import type { Job } from '../protocol.ts';
import { INPUT_SHAPE, readInput } from './files.ts';
import { describeDevice, importLibrary } from './library.ts';
import { serve } from './serve.ts';

/* What a process holds, after one explanation and after a thousand. */

/** Bytes, except `blocks`. */
export interface Usage {
  /** On the device: in use by tensors, and in all, which never shrinks and so is the peak. */
  readonly live: number;
  readonly reserved: number;
  readonly blocks: number;
  /** Of JavaScript, after a garbage collection. */
  readonly heap: number;
  /** Of the process, now and at its peak. */
  readonly resident: number;
  readonly residentPeak: number;
}

const { createDevice, explainTensor, loadModel, tensor, withScope } = await importLibrary();
const device = await createDevice('cpu');

/** The same model for all requests. */
let opened: Model | undefined;

await serve({
  about: () => describeDevice(device),
  usage: () => usage(device),

  forward: async ({ network, safetensors, input }: Job): Promise<Usage> => {
    const model = open(network, safetensors);
    await withScope((scope) => model.forward(tensor(device, readInput(input), INPUT_SHAPE, { scope })).data());
    return usage(device);
  },

  explain: async ({ network, safetensors, input }: Job): Promise<Usage> => {
    await explain(open(network, safetensors), readInput(input), INPUT_SHAPE);
    return usage(device);
  },

  loop: async ({ network, safetensors, size, times }: Loop): Promise<Usage> => {
    const model = open(network, safetensors);
    const image = Float32Array.from({ length: 3 * size * size }, (_, i) => Math.sin(i));
    for (let i = 0; i < times; i++) await explain(model, image, [1, 3, size, size]);
    return usage(device);
  },
});

/** Explanations one after the other, of an image of size x size. */
export interface Loop {
  readonly network: string;
  readonly safetensors: string;
  readonly size: number;
  readonly times: number;
}

function open(network: string, safetensors: string): Model {
  opened ??= loadModel(network, readFileSync(safetensors), { file: safetensors });
  return opened;
}

function explain(model: Model, values: Float32Array, shape: readonly number[]): Promise<void> {
  return withScope(async (scope) => {
    using explanation = await explainTensor(model, tensor(device, values, shape, { scope }), { topK: 5 });
    await explanation.maps.data();
  });
}

async function usage(memory: Device): Promise<Usage> {
  await collectGarbage();
  const { live, pooled, blocks } = memory.memory();
  const { heapUsed, rss } = process.memoryUsage();
  return { live, reserved: live + pooled, blocks, heap: heapUsed, resident: rss, residentPeak: peakOfProcess() };
}

/** Weak references are let go between collections, when the event loop turns. */
async function collectGarbage(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await sleep(20);
  }
}

/** Linux knows it since the program began; `maxRSS` there includes what the parent held when it forked. */
function peakOfProcess(): number {
  try {
    const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if (kilobytes) return 1024 * Number(kilobytes);
  } catch {
    // Not Linux.
  }
  return 1024 * process.resourceUsage().maxRSS;
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { HostArray, StateDict } from '../../src/nn/weights/host-array.ts';
import { parseSafetensors, serializeSafetensors } from '../../src/nn/weights/safetensors.ts';
import {
  DOG_CAT,
  fmgcam,
  MODEL,
  missingWebGpu,
  sharedPath,
  temporaryFile,
  temporaryFolder,
} from '../support/command.ts';
import { expectClose, expectMap } from '../support/numbers.ts';
import { describeShared } from '../support/shared.ts';

/* --input-tensor and --save-tensors against PyTorch in float64, and against the paper's own library. */

const CASES = [
  { file: 'resnet20-dog-cat-64-layer3.2-top5', layer: 'layer3.2', topK: 5 },
  { file: 'resnet20-coco78-48-layer2.2.conv2-top3', layer: 'layer2.2.conv2', topK: 3 },
];
const STEPS = ['logits', 'probs', 'activations', 'gradients', 'alpha', 'R', 'S', 'S_normalised'];
const MAPS = ['fm_g_cam', 'reference'];
const missing = await missingWebGpu();
const DEVICES = [
  { device: 'cpu', tolerance: 1e-5 },
  { device: 'webgpu', tolerance: 1e-4, missing },
];

const goldenPath = (file: string) => sharedPath(`golden/${file}.safetensors`);

function read(path: string): StateDict {
  return parseSafetensors(readFileSync(path), path);
}

function tensorOf(tensors: StateDict, key: string): HostArray {
  const found = tensors.get(key);
  if (!found) throw new Error(`there is no tensor ${key}, only ${[...tensors.keys()].join(', ')}`);
  return found;
}

/** What `explain --save-tensors` writes. */
async function explained(...args: readonly string[]): Promise<StateDict> {
  const file = join(temporaryFolder(), 'steps.safetensors');
  const { status, stderr } = await fmgcam(['explain', ...MODEL, ...args, '--save-tensors', file]);
  expect(status, stderr.join('\n')).toBe(0);
  return read(file);
}

function expectSameMap(actual: HostArray, expected: HostArray, what: string): void {
  expect(actual.shape, what).toEqual(expected.shape);
  expectMap(actual.data, expected.data, what);
}

/** Of `--activation relu` the golden maps have no suffix, or the suffix of the reference. */
function goldenMap(name: string, activation: string): string {
  return name === 'fm_g_cam' && activation === 'relu' ? name : `${name}_${activation}`;
}

describeShared('tensors in, tensors out', () => {
  describe.each(DEVICES)('on $device', ({ device, tolerance, missing }) => {
    describe.skipIf(missing !== undefined)(missing ? `(skipped: no WebGPU adapter: ${missing})` : 'equal', () => {
      describe.each(CASES)('$file', ({ file, layer, topK }) => {
        it.each(['relu', 'gelu', 'elu'])('with --activation %s', async (activation) => {
          const golden = read(goldenPath(file));
          const actual = await explained(
            ...['--input-tensor', goldenPath(file), '--layer', layer, '--topk', String(topK), '--device', device],
            ...['--mode', 'reference', '--activation', activation],
          );
          expect([...actual.keys()].toSorted()).toEqual(['top', ...STEPS, ...MAPS].toSorted());
          const top = tensorOf(actual, 'top');
          expect(top.shape).toEqual([topK]);
          expect(Array.from(top.data)).toEqual(Array.from(tensorOf(golden, 'top').data));
          for (const key of STEPS) {
            const [step, expected] = [tensorOf(actual, key), tensorOf(golden, key)];
            expect(step.shape, key).toEqual(expected.shape);
            expectClose(step.data, expected.data, tolerance, key);
          }
          for (const name of MAPS) {
            const key = goldenMap(name, activation);
            expectSameMap(tensorOf(actual, name), tensorOf(golden, key), key);
          }
        });
      });
    });
  });

  it('have no reference in the mode of the paper', async () => {
    const steps = await explained('--input-tensor', goldenPath(CASES[1]?.file ?? ''), '--device', 'cpu');
    expect(steps.has('reference')).toBe(false);
  });

  it('have a batch axis for two images, each explained as if it were alone', async () => {
    const { file, layer, topK } = CASES[0] ?? { file: '', layer: '', topK: 0 };
    const golden = read(goldenPath(file));
    const { data, shape } = tensorOf(golden, 'input');
    const negated = Float32Array.from(data, (value) => -value);
    const two = serializeSafetensors([
      ['input', { shape: [2, ...shape.slice(1)], data: Float32Array.of(...negated, ...data) }],
    ]);
    const steps = await explained(
      ...['--input-tensor', temporaryFile('two.safetensors', two), '--layer', layer, '--topk', String(topK)],
      ...['--device', 'cpu'],
    );
    for (const key of ['top', ...STEPS]) {
      const [both, expected] = [tensorOf(steps, key), tensorOf(golden, key)];
      expect(both.shape, key).toEqual([2, ...expected.shape]);
      expectClose(both.data.slice(both.data.length / 2), expected.data, 1e-5, key);
    }
  });

  it('come from the photograph itself with --size 64', async () => {
    const golden = read(goldenPath('resnet20-dog-cat-64-layer3.2-top5'));
    const steps = await explained(DOG_CAT, '--size', '64', '--device', 'cpu');
    expectClose(tensorOf(steps, 'logits').data, tensorOf(golden, 'logits').data, 1e-4, 'logits');
  });

  it('come from the photograph as torchvision prepares it with --preset', async () => {
    const { data, shape } = tensorOf(read(goldenPath('preprocess')), 'dog-cat/IMAGENET1K_V2');
    const input = temporaryFile('input.safetensors', serializeSafetensors([['input', { shape, data }]]));
    const [preset, prepared] = await Promise.all([
      explained(DOG_CAT, '--preset', 'IMAGENET1K_V2', '--device', 'cpu'),
      explained('--input-tensor', input, '--device', 'cpu'),
    ]);
    expectClose(tensorOf(preset, 'logits').data, tensorOf(prepared, 'logits').data, 1e-4, 'logits');
    expect(tensorOf(preset, 'activations').shape).toEqual([64, 56, 56]);
  });
});

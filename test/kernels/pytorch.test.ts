import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { gradcheck } from '../../src/autograd/gradcheck.ts';
import { Tape } from '../../src/autograd/tape.ts';
import * as k from '../../src/kernels/index.ts';
import { parseSafetensors } from '../../src/nn/weights/safetensors.ts';
import { Scope } from '../../src/tensor/scope.ts';
import { at } from '../../src/tensor/shape.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';
import { describeDevice, TOLERANCE } from '../support/devices.ts';
import { expectClose } from '../support/numbers.ts';

/* Every op against PyTorch in float64: results, and the gradients of K scores at once (scripts/pytorch/expected_ops.py). */

type Pair = readonly [number, number];

/** What the attributes of the cases are called; each op uses a few of them. */
interface Attributes {
  stride: Pair;
  padding: Pair;
  dilation: Pair;
  kernel: Pair;
  size: Pair;
  groups: number;
  activation: 'none' | 'relu';
  ceilMode: boolean;
  countIncludePad: boolean;
  keepDims: boolean;
  alignCorners: boolean;
  mode: k.ResizeMode;
  eps: number;
  momentum: number;
  alpha: number;
  axis: number;
  k: number;
  value: number;
  axes: number[];
  shape: number[];
  permutation: number[];
  starts: number[];
  ends: number[];
  steps: number[];
  before: number[];
  after: number[];
}

interface Case {
  name: string;
  op: keyof typeof run;
  inputs: string[];
  attributes: Attributes;
  outputs: string[];
  differentiable: string[];
  cotangents: number;
}

type Run = (inputs: Record<string, Tensor>, attributes: Attributes) => Tensor | Tensor[];

const one = (name: string, inputs: Record<string, Tensor>): Tensor => {
  const input = inputs[name];
  if (!input) throw new Error(`the case has no input ${name}`);
  return input;
};
const unary = (f: (x: Tensor, a: Attributes) => Tensor | Tensor[]) => (inputs: Record<string, Tensor>, a: Attributes) =>
  f(one('x', inputs), a);
const binary = (f: (a: Tensor, b: Tensor) => Tensor) => (inputs: Record<string, Tensor>) =>
  f(one('a', inputs), one('b', inputs));

const run = {
  conv2d: ({ bias, residual, ...inputs }, a) =>
    k.conv2d(one('x', inputs), one('weight', inputs), { ...a, bias, residual }),
  linear: (inputs) => k.linear(one('x', inputs), one('weight', inputs), inputs.bias),
  matmul: binary(k.matmul),
  batchNorm: ({ weight, bias, ...inputs }, { eps }) =>
    k.batchNorm(one('x', inputs), { mean: one('mean', inputs), variance: one('variance', inputs), weight, bias, eps }),
  batchNormTraining: ({ weight, bias, ...inputs }, { eps, momentum }) => {
    const [mean, variance] = [one('mean', inputs), one('variance', inputs)];
    const result = k.batchNormTraining(one('x', inputs), { mean, variance, weight, bias, eps, momentum });
    return [result.y, result.mean, result.variance];
  },
  add: binary(k.add),
  sub: binary(k.sub),
  mul: binary(k.mul),
  div: binary(k.div),
  relu: unary(k.relu),
  elu: unary((x, { alpha }) => k.elu(x, alpha)),
  gelu: unary(k.gelu),
  sigmoid: unary(k.sigmoid),
  exp: unary(k.exp),
  log: unary(k.log),
  sqrt: unary(k.sqrt),
  neg: unary(k.neg),
  softmax: unary((x, { axis }) => k.softmax(x, axis)),
  logSoftmax: unary((x, { axis }) => k.logSoftmax(x, axis)),
  maxPool2d: unary(k.maxPool2d),
  avgPool2d: unary(k.avgPool2d),
  adaptiveAvgPool2d: unary((x, { size }) => k.adaptiveAvgPool2d(x, size)),
  globalAvgPool2d: unary(k.globalAvgPool2d),
  sum: unary((x, { axes, keepDims }) => k.sum(x, axes, keepDims)),
  mean: unary((x, { axes, keepDims }) => k.mean(x, axes, keepDims)),
  max: unary((x, { axes, keepDims }) => k.max(x, axes, keepDims)),
  argmax: unary((x, { axis, keepDims }) => k.argmax(x, axis, keepDims)),
  topk: unary((x, a) => {
    const { values, indices } = k.topk(x, a.k, a.axis);
    return [values, indices];
  }),
  concat: (inputs, { axis }) => k.concat([one('a', inputs), one('b', inputs), one('c', inputs)], axis),
  slice: unary((x, { starts, ends, steps }) => k.slice(x, starts, ends, steps)),
  pad: unary((x, { before, after, value }) => k.pad(x, before, after, value)),
  reshape: unary((x, { shape }) => k.reshape(x, shape)),
  transpose: unary((x, { permutation }) => k.transpose(x, permutation)),
  where: (inputs) => k.where(one('condition', inputs), one('a', inputs), one('b', inputs)),
  resize: unary((x, { size, mode, alignCorners }) => k.resize(x, { size, mode, alignCorners })),
} satisfies Record<string, Run>;

const url = (file: string) => new URL(`../expected/${file}`, import.meta.url);
const cases: Case[] = JSON.parse(readFileSync(url('ops.json'), 'utf8'));
const expected = parseSafetensors(readFileSync(url('ops.safetensors')), 'ops.safetensors');

function stored(key: string) {
  const array = expected.get(key);
  if (!array) throw new Error(`ops.safetensors has no ${key}`);
  return array;
}

/** The tensors of a case on the device, in a scope that the test disposes of. */
function upload(device: k.Device, scope: Scope, key: string): Tensor {
  const { data, shape } = stored(key);
  return k.tensor(device, Float32Array.from(data), shape, { scope });
}

const list = (result: Tensor | Tensor[]) => (Array.isArray(result) ? result : [result]);

describeDevice('PyTorch', (device) => {
  it.each(cases)('$name', async ({ name, op, inputs, attributes, outputs, differentiable, cotangents }) => {
    using scope = new Scope();
    using tape = new Tape();
    const entries = inputs.map((input) => {
      const value = upload(device(), scope, `${name}/${input}`);
      return [input, differentiable.includes(input) ? tape.watch(value) : value] as const;
    });
    const given = Object.fromEntries(entries);
    const f: Run = run[op];
    const results = list(f(given, attributes));

    for (const [i, output] of outputs.entries()) {
      const result = at(results, i);
      const { data, shape } = stored(`${name}/${output}`);
      expect(result.shape, output).toEqual(shape);
      expectClose(await result.data(), data, TOLERANCE, output);
    }
    if (cotangents === 0) return;
    const targets = differentiable.map((input) => one(input, given));
    const gradients = tape.vjp(at(results, 0), upload(device(), scope, `${name}/cotangent`), targets);
    for (const [i, input] of differentiable.entries()) {
      const { data, shape } = stored(`${name}/grad/${input}`);
      expect(at(gradients, i).shape, `gradient of ${input}`).toEqual(shape);
      expectClose(await at(gradients, i).data(), data, TOLERANCE, `gradient of ${input}`);
    }
  });

  it('finds nothing left in memory after all cases', () => {
    expect(device().memory().blocks).toBe(0);
  });

  // The first case of each op, and every kind of window, in the middle of a graph: behind a scale and before one, so that
  // a rule which ignores what comes from above fails.
  const WINDOWS =
    /stride1x3-pad2x1-5x3|dilation2x3-pad2x3-bias|dilation2-stride2-pad2|groups3-stride2-bias|depthwise-stride2-5x5|^conv2d\/bias-residual-relu|ceil-mode-pad1|2x3-stride1x2-pad1x0|7x5-to-3x2|bicubic-down-uneven|bilinear-align-corners-up-uneven/;
  const differentiable = cases.filter((c) => c.differentiable.length > 0);
  const checked = differentiable.filter(
    ({ op, name }, i) => WINDOWS.test(name) || differentiable.findIndex((other) => other.op === op) === i,
  );
  it.each(checked)(
    '$name passes gradcheck in the middle of a graph',
    async ({ name, op, inputs, attributes, differentiable }) => {
      using scope = new Scope();
      const given = Object.fromEntries(inputs.map((input) => [input, upload(device(), scope, `${name}/${input}`)]));
      const factor = k.scalar(device(), 1.7, scope);
      const f: Run = run[op];
      await gradcheck(
        (...tensors) => {
          const scaled = tensors.map((tensor, i) => [at(differentiable, i), k.mul(tensor, factor)] as const);
          const result = at(list(f({ ...given, ...Object.fromEntries(scaled) }, attributes)), 0);
          return k.mul(result, factor);
        },
        differentiable.map((input) => one(input, given)),
      );
    },
  );
});

import { UsageError } from '../../errors.ts';
import { type Layout, physicalOrder, type TensorSpec } from '../../tensor/layout.ts';
import { at, formatShape, normaliseAxis, type Shape, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { copyKernel, copyNest } from '../copy/kernel.ts';
import { addressing, addressingUniforms, iterate, iterationSpace } from '../core/iteration.ts';
import { elementwiseWays } from '../core/ways.ts';
import { floatField, type WasmOperand, type Workspace } from '../cpu/wasm/call.ts';
import type { Kernel, Operand } from '../device.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { type SliceAttributes, sliceLayout } from '../view/index.ts';
import { linearGrid, linearMain, type WgslProgram } from '../webgpu/program.ts';

/**
 * A tensor of `shape` filled with `value`, into which each input is written at a slice. Padding and concatenation are
 * this, and so is the gradient of a slice.
 */
export interface AssembleAttributes {
  readonly shape: Shape;
  readonly value: number;
  /** For each input, the part of the result that it fills. */
  readonly places: readonly SliceAttributes[];
}

const NAMES = ['y', 'x'];

export const assembleDefinition: OpDefinition<AssembleAttributes> = {
  name: 'assemble',

  outputs: ([first], { shape }) => [
    { shape, ...(first?.shape.length === shape.length && { order: physicalOrder(first) }) },
  ],

  host({ inputs, outputs: [y], attributes: { value, places } }) {
    if (!y) return;
    if (!isCovered(y, inputs)) fillKernel.host({ inputs: [], outputs: [y], attributes: value });
    for (const [i, x] of inputs.entries()) {
      iterate(iterationSpace([sliceLayout(y, at(places, i)), x]), (to, from) => {
        y.data[to] = x.data[from] ?? 0;
      });
    }
  },

  wasm({ inputs, outputs: [y], attributes: { value, places }, run, workspace }) {
    if (!y) return false;
    const write = (target: Layout, x: WasmOperand) => {
      const { nest, units } = copyNest(iterationSpace([target, x]), [y, x], workspace);
      run('copy', nest, units);
    };
    if (!isCovered(y, inputs)) write(y, repeated(value, y, workspace));
    for (const [i, x] of inputs.entries()) write(sliceLayout(y, at(places, i)), x);
    return true;
  },

  webgpu({ inputs, outputs: [y], attributes: { value, places } }) {
    if (!y) return [];
    const placed = inputs.map((x, input) => place(x, sliceLayout(y, at(places, input)), input));
    return isCovered(y, inputs) ? placed : [fillProgram(y, value), ...placed];
  },

  steps({ inputs, outputs: [y], attributes }, run) {
    if (!y) return;
    if (!isCovered(y, inputs)) run(fillKernel, [], [y], attributes.value);
    for (const [i, x] of inputs.entries()) {
      const part: Operand = { ...sliceLayout(y, at(attributes.places, i)), dtype: y.dtype, storage: y.storage };
      if (sizeOf(part.shape) > 0) run(copyKernel, [x], [part], undefined);
    }
  },
};

function fillProgram(y: TensorSpec, value: number): WgslProgram {
  const count = sizeOf(y.shape);
  return {
    key: 'assemble/fill',
    code: () => linearMain('u.count', '  y[index] = u.value;'),
    bindings: [{ name: 'y', type: 'f32', operand: { output: 0 } }],
    uniforms: [
      ['count', 'u32', count],
      ['value', 'f32', value],
    ],
    workgroups: linearGrid(count),
  };
}

/** The value everywhere in a dense tensor. */
const fillKernel: Kernel<number> = {
  host({ outputs: [y], attributes: value }) {
    y?.data.fill(value, 0, sizeOf(y.shape));
  },
  webgpu: ({ outputs: [y], attributes: value }) => (y ? [fillProgram(y, value)] : []),
  dense: true,
  ways: ({ outputs: [y] }) => elementwiseWays([], y),
};

/** An operand of the shape of y that has the same value everywhere. */
function repeated(value: number, { shape }: Layout, workspace: Workspace): WasmOperand {
  const address = workspace.write(Int32Array.of(floatField(value)));
  return { shape, strides: shape.map(() => 0), offset: 0, dtype: 'float32', address };
}

/** Whether nothing of the fill would be seen; the places never overlap. */
function isCovered(y: TensorSpec, inputs: readonly TensorSpec[]): boolean {
  return inputs.reduce((sum, x) => sum + sizeOf(x.shape), 0) === sizeOf(y.shape);
}

function place(x: TensorSpec, target: Layout, input: number): WgslProgram {
  const space = iterationSpace([target, x]);
  return {
    key: `assemble/place/${space.sizes.length}`,
    code: () => linearMain('u.count', `${addressing(space, NAMES)}\n  y[y_at] = x[x_at];`),
    bindings: [
      { name: 'x', type: 'f32', operand: { input } },
      { name: 'y', type: 'f32', operand: { output: 0 } },
    ],
    uniforms: [['count', 'u32', space.count], ...addressingUniforms(space, NAMES)],
    workgroups: linearGrid(space.count),
  };
}

/** See `AssembleAttributes`. */
export function assemble(parts: readonly Tensor[], attributes: AssembleAttributes): Tensor {
  return applySingle(assembleDefinition, parts, attributes);
}

/** The tensors one after the other along an axis; all other sizes must be equal. */
export function concat(parts: readonly Tensor[], axis = 0): Tensor {
  const [first] = parts;
  if (!first) throw new UsageError('concat needs at least one tensor');
  const along = normaliseAxis(axis, first.rank);
  for (const part of parts) {
    if (part.rank !== first.rank || part.shape.some((size, k) => k !== along && size !== first.shape[k])) {
      throw new UsageError(
        `concat along axis ${axis}: ${formatShape(first.shape)} and ${formatShape(part.shape)} differ elsewhere too`,
      );
    }
  }
  let position = 0;
  const places = parts.map(({ shape }): SliceAttributes => {
    const start = position;
    position += at(shape, along);
    return {
      starts: shape.map((_, k) => (k === along ? start : 0)),
      ends: shape.map((size, k) => (k === along ? position : size)),
      steps: shape.map(() => 1),
    };
  });
  const shape = first.shape.map((size, k) => (k === along ? position : size));
  return assemble(parts, { shape, value: 0, places });
}

/** `x` with `before[d]` and `after[d]` elements of `value` around it along each axis d. */
export function pad(x: Tensor, before: readonly number[], after: readonly number[], value = 0): Tensor {
  for (const [name, list] of Object.entries({ before, after })) {
    if (list.length !== x.rank || list.some((n) => !Number.isInteger(n) || n < 0)) {
      throw new UsageError(
        `pad: ${name} ${formatShape(list)} needs a count of 0 or more for each axis of ${formatShape(x.shape)}`,
      );
    }
  }
  const shape = x.shape.map((size, axis) => size + at(before, axis) + at(after, axis));
  const ends = x.shape.map((size, axis) => size + at(before, axis));
  return assemble([x], { shape, value, places: [{ starts: before, ends, steps: x.shape.map(() => 1) }] });
}

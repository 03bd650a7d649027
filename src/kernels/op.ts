import { UsageError } from '../errors.ts';
import {
  type AxisOrder,
  type DType,
  denseLayout,
  expandLayout,
  isDense,
  type Layout,
  physicalOrder,
  type TensorSpec,
} from '../tensor/layout.ts';
import { Storage } from '../tensor/memory.ts';
import { innermostScope, tidy } from '../tensor/scope.ts';
import { at, type Shape, sizeOf } from '../tensor/shape.ts';
import { type Recorder, Tensor } from '../tensor/tensor.ts';
import { copyKernel } from './copy/kernel.ts';
import { type Device, deviceOf, type Kernel, type Operand } from './device.ts';

/** What an op makes: shape, element type, and the order of its axes in memory (row-major when left out). */
export interface OutputSpec {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly order?: AxisOrder;
}

/** An op that computes: all that there is to know of it, apart from its gradient (see `src/kernels/gradients.ts`). */
export interface OpDefinition<Attributes> extends Kernel<Attributes> {
  readonly name: string;
  /** Shapes of the results. Throws a UsageError when the inputs do not fit each other or the attributes. */
  outputs(inputs: readonly TensorSpec[], attributes: Attributes): readonly OutputSpec[];
  /**
   * The order of axes in which the kernels want each input to lie densely in memory; undefined where any strides will do.
   * Inputs that lie otherwise are copied first; the copies of weights are kept (they are 'prepacked').
   */
  layouts?(
    inputs: readonly TensorSpec[],
    attributes: Attributes,
    device: Pick<Device, 'kind' | 'prepacks'>,
  ): readonly (AxisOrder | undefined)[];
  /** Whether int32 inputs are accepted; the arithmetic of the others is float32. */
  readonly integers?: boolean;
}

/** An op that only looks at the same storage differently. */
export interface ViewDefinition<Attributes> {
  readonly name: string;
  /** The new layout, or undefined where the input has to be made row-major first. */
  view(input: TensorSpec, attributes: Attributes): Layout | undefined;
}

/** An op that is made of others, with a gradient that is cheaper than that of its parts. */
export interface CompositeDefinition<Attributes> {
  readonly name: string;
  compute(inputs: readonly Tensor[], attributes: Attributes): readonly Tensor[];
}

/** Runs an op. Results belong to the innermost scope of the inputs and are recorded by the recorder of the inputs. */
export function apply<Attributes>(
  definition: OpDefinition<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): Tensor[] {
  const device = commonDevice(definition.name, inputs);
  if (!definition.integers && inputs.some(({ dtype }) => dtype !== 'float32')) {
    throw new UsageError(`${definition.name} computes in float32 and got an int32 tensor; read it with data() instead`);
  }
  const specs = definition.outputs(inputs, attributes);
  const orders = definition.layouts?.(inputs, attributes, device) ?? [];
  const scope = innermostScope(inputs);
  const recorder = commonRecorder(inputs);

  const temporaries: Storage[] = [];
  const outputs: Tensor[] = [];
  try {
    const operands = inputs.map((input, i) => arrange(input, orders[i], temporaries));
    for (const { shape, order, dtype = 'float32' } of specs) {
      const storage = new Storage(device, 4 * sizeOf(shape));
      outputs.push(new Tensor(storage, denseLayout(shape, order), { dtype, scope, recorder }));
    }
    if (outputs.some(({ size }) => size > 0)) device.run(definition, operands, outputs.map(operandOf), attributes);
  } catch (error) {
    for (const output of outputs) output.dispose();
    throw error;
  } finally {
    for (const storage of temporaries) storage.release();
  }
  recorder?.record({ op: definition.name, attributes, inputs, outputs });
  return outputs;
}

/** `apply` for the many ops with one result. */
export function applySingle<Attributes>(
  definition: OpDefinition<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): Tensor {
  const [output] = apply(definition, inputs, attributes);
  if (!output) throw new RangeError(`op ${definition.name} has no output`);
  return output;
}

/**
 * The result of an op on constants as a constant: computed whenever the device needs it, from inputs whose memory is given
 * back each time. It belongs to no scope.
 */
export function applyConstant<Attributes>(
  definition: OpDefinition<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): Tensor {
  const device = commonDevice(definition.name, inputs);
  const { shape, order, dtype = 'float32' } = at(definition.outputs(inputs, attributes), 0);
  const spec = { ...denseLayout(shape, order), dtype };
  const operands = inputs.map(operandOf);
  const storage = new Storage(device, 4 * sizeOf(shape), (result) => {
    device.run(definition, operands, [operandAt(spec, result)], attributes);
    for (const { storage: input } of operands) input.evict();
  });
  return new Tensor(storage, spec, { dtype });
}

/** Runs a view op: no kernel, unless the input must be copied first. */
export function applyView<Attributes>(
  definition: ViewDefinition<Attributes>,
  input: Tensor,
  attributes: Attributes,
): Tensor {
  const scope = innermostScope([input]);
  const layout = definition.view(input, attributes);
  let output: Tensor;
  if (layout) {
    output = input.alias({ layout });
  } else {
    const dense = denseLayout(input.shape);
    const storage = copyTo(input, dense);
    const copied = definition.view({ ...dense, dtype: input.dtype }, attributes);
    if (!copied) throw new RangeError(`op ${definition.name} has no view of a row-major tensor`);
    output = new Tensor(storage, copied, { dtype: input.dtype, scope, recorder: input.recorder });
  }
  input.recorder?.record({ op: definition.name, attributes, inputs: [input], outputs: [output] });
  return output;
}

/** Runs a composite op: what it is made of is not recorded. */
export function applyComposite<Attributes>(
  definition: CompositeDefinition<Attributes>,
  inputs: readonly Tensor[],
  attributes: Attributes,
): readonly Tensor[] {
  const recorder = commonRecorder(inputs);
  const outputs = tidy(inputs, (...aliases) => {
    const results = definition.compute(
      aliases.map((input) => input.alias({ recorder: undefined })),
      attributes,
    );
    return results.map((result) => result.alias({ recorder }));
  });
  recorder?.record({ op: definition.name, attributes, inputs, outputs });
  return outputs;
}

function operandOf(tensor: Tensor): Operand {
  return operandAt(tensor, tensor.storage);
}

function operandAt({ shape, strides, offset, dtype }: TensorSpec, storage: Storage): Operand {
  return { shape, strides, offset, dtype, storage };
}

/** The tensor as a kernel wants it. What had to be made for this call only is added to `temporaries`. */
function arrange(input: Tensor, order: AxisOrder | undefined, temporaries: Storage[]): Operand {
  if (!order || isDense(input, order)) return operandOf(input);
  const { storage } = input;
  if (!storage.constant) {
    const spec = arrangedSpec(input, order);
    const copy = copyTo(input, spec);
    temporaries.push(copy);
    return operandAt(spec, copy);
  }
  const { spec, key } = arrangementOf(input, order);
  const copy = storage.copyAs(key, 4 * sizeOf(spec.shape), (copy) =>
    deviceOf(storage).run(copyKernel, [operandOf(input)], [operandAt(spec, copy)], undefined),
  );
  return operandAt(spec, copy);
}

interface Arrangement {
  readonly order: AxisOrder;
  readonly spec: TensorSpec;
  /** Names the copy. */
  readonly key: string;
}

function arrangedSpec({ shape, dtype }: TensorSpec, order: AxisOrder): TensorSpec {
  return { ...denseLayout(shape, order), dtype };
}

/** The last one of each constant: a weight is arranged alike in every pass. */
const arrangements = new WeakMap<Tensor, Arrangement>();

function arrangementOf(input: Tensor, order: AxisOrder): Arrangement {
  const known = arrangements.get(input);
  if (known?.order === order) return known;
  const { shape, strides, offset } = input;
  const arrangement = { order, spec: arrangedSpec(input, order), key: JSON.stringify([shape, strides, offset, order]) };
  arrangements.set(input, arrangement);
  return arrangement;
}

/** The values of `input` in a new storage that has the given layout. */
function copyTo(input: Tensor, layout: Layout): Storage {
  const device = deviceOf(input);
  const storage = new Storage(device, 4 * sizeOf(layout.shape));
  try {
    device.run(copyKernel, [operandOf(input)], [operandAt({ ...layout, dtype: input.dtype }, storage)], undefined);
    return storage;
  } catch (error) {
    storage.release();
    throw error;
  }
}

/** The order of axes for the result of an elementwise op: that of the largest input, which decides the memory traffic. */
export function elementwiseOrder(inputs: readonly TensorSpec[], shape: Shape): AxisOrder {
  const sizes = inputs.map((input) => sizeOf(input.shape));
  const largest = at(inputs, sizes.indexOf(Math.max(...sizes)));
  return physicalOrder(expandLayout(largest, shape));
}

function commonDevice(op: string, inputs: readonly Tensor[]): Device {
  const [first, ...others] = inputs;
  if (!first) throw new UsageError(`${op} needs at least one tensor`);
  const other = others.find(({ memory }) => memory !== first.memory);
  if (other) {
    throw new UsageError(
      `${op} got tensors on ${first.memory.name} and on ${other.memory.name}; upload both to one device`,
    );
  }
  return deviceOf(first);
}

function commonRecorder(inputs: readonly Tensor[]): Recorder | undefined {
  let common: Recorder | undefined;
  for (const { recorder } of inputs) {
    if (common && recorder && recorder !== common)
      throw new UsageError('tensors of two different tapes meet in one op; finish one gradient before the next');
    common ??= recorder;
  }
  return common;
}

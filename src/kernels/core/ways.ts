import type { TensorSpec } from '../../tensor/layout.ts';
import { rowMajorOrder } from '../../tensor/layout.ts';
import type { Shape } from '../../tensor/shape.ts';

/** An axis of a broadcast result in an operand; undefined where the operand is stretched, or has no such axis. */
export function broadcastAxis(operand: Shape, result: Shape, axis: number): number | undefined {
  const own = axis - (result.length - operand.length);
  return own < 0 || operand[own] !== result[axis] ? undefined : own;
}

/** The ways to divide an elementwise op: along each axis of its result. */
export function elementwiseWays(inputs: readonly TensorSpec[], y: TensorSpec | undefined) {
  const { shape = [] } = y ?? {};
  return shape.map((_, axis) => ({
    inputs: inputs.map((input) => broadcastAxis(input.shape, shape, axis)),
    outputs: [axis],
  }));
}

/** Those of an op that works along `axes` of its first input, of which the results may have dropped these. */
export function otherAxes([x]: readonly TensorSpec[], outputs: readonly TensorSpec[], axes: readonly number[]) {
  const rank = x?.shape.length ?? 0;
  const others = rowMajorOrder(rank).filter((axis) => !axes.includes(axis));
  return others.map((axis, kept) => ({
    inputs: [axis],
    outputs: outputs.map(({ shape }) => (shape.length === rank ? axis : kept)),
  }));
}

import { type AxisOrder, CHANNELS_LAST, isDense, rowMajorOrder } from '../../tensor/layout.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { copyKernel } from './kernel.ts';

export interface CopyAttributes {
  /** Axes of the result from the outermost in memory to the innermost. */
  readonly order: AxisOrder;
}

/** The same values, dense in memory in a given order of axes. */
export const copyDefinition: OpDefinition<CopyAttributes> = {
  ...copyKernel,
  name: 'copy',
  integers: true,
  outputs: ([x], { order }) => (x ? [{ shape: x.shape, dtype: x.dtype, order }] : []),
};

/** `x` dense in memory with its axes in `order` (row-major when left out): an alias where it lies so already, else a copy. */
export function contiguous(x: Tensor, order: AxisOrder = rowMajorOrder(x.rank)): Tensor {
  return isDense(x, order) ? x.alias() : applySingle(copyDefinition, [x], { order });
}

/** `contiguous` in the order of activations: [N,C,H,W] lies in memory as [N][H][W][C]. */
export function channelsLast(x: Tensor): Tensor {
  return contiguous(x, CHANNELS_LAST);
}

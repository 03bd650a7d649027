import { type Engine, FLOAT } from '../matmul/gemm.ts';
import type { GatherConvolution } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { eachPhase, placePhase } from './source.ts';

/** Whether each channel is a group of its own. */
export function isDepthwise({ rows, columns }: Pick<GatherConvolution, 'rows' | 'columns'>): boolean {
  return rows === 1 && columns === 1;
}

/** Depthwise convolutions and input gradients, see depthwise.as.ts: weights are read as they lie, [tap][channel]. */
export function depthwiseWasm(conv: GatherConvolution, operands: GatherOperands, engine: Engine): void {
  const { batch, groups, kernel, tapStride } = conv;
  const { weight, bias, residual, relu } = operands;
  for (const pair of eachPhase(conv, 1, operands.source, engine)) {
    const { x, y, yOffset, outer, outerStep, inner, innerStep } = placePhase(conv, pair);
    const { down, across } = pair;
    const job = {
      x: x.address,
      xImage: x.image,
      xRow: x.row,
      xColumn: x.column,
      y: operands.y.address + yOffset,
      yImage: y.image,
      yRow: y.row,
      yColumn: y.column,
      height: down.count,
      width: across.count,
      channels: groups,
      outer,
      outerStep,
      inner,
      innerStep,
      w: weight.address + FLOAT * tapStride * (down.taps.tap * kernel[1] + across.taps.tap),
      wOuterStep: FLOAT * tapStride * down.taps.tapStep * kernel[1],
      wInnerStep: FLOAT * tapStride * across.taps.tapStep,
      bias: bias?.address ?? 0,
      residual: residual ? residual.address + yOffset : 0,
      relu: Number(relu),
    };
    engine.run('depthwise', job, batch * down.count);
  }
}

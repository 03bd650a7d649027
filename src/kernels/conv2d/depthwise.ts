import type { Engine } from '../cpu/wasm/call.ts';
import type { GatherShape } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { eachPhase, placePhase, placeWeight } from './source.ts';

/** Whether each channel is a group of its own. */
export function isDepthwise({ rows, columns }: Pick<GatherShape, 'rows' | 'columns'>): boolean {
  return rows === 1 && columns === 1;
}

/** Depthwise convolutions and input gradients, see depthwise.as.ts: weights are read as they lie, [tap][channel]. */
export function depthwiseWasm(conv: GatherShape, operands: GatherOperands, engine: Engine): void {
  const { batch, groups } = conv;
  const { weight, bias, residual, relu } = operands;
  for (const pair of eachPhase(conv, 1, operands.source, engine)) {
    const { x, y, yOffset, outer, outerStep, inner, innerStep } = placePhase(conv, pair);
    const { first, ...steps } = placeWeight(conv, pair, weight);
    const job = {
      x: x.address,
      xImage: x.image,
      xRow: x.row,
      xColumn: x.column,
      y: operands.y.address + yOffset,
      yImage: y.image,
      yRow: y.row,
      yColumn: y.column,
      height: pair.down.count,
      width: pair.across.count,
      channels: groups,
      outer,
      outerStep,
      inner,
      innerStep,
      w: weight.address + first,
      wOuterStep: steps.down,
      wInnerStep: steps.across,
      bias: bias?.address ?? 0,
      residual: residual ? residual.address + yOffset : 0,
      relu: Number(relu),
    };
    engine.run('depthwise', job, batch * pair.down.count);
  }
}

import type { Engine } from '../cpu/wasm/call.ts';
import { runGemm } from '../matmul/gemm.ts';
import { depthwiseWasm, isDepthwise } from './depthwise.ts';
import type { Algorithm, GatherShape } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { eachPhase, packWeight, placePhase } from './source.ts';
import { isWinograd, winogradWasm, winogradWins } from './winograd.ts';

/** See `GatherConvolution`; source, result and residual are channels-last. */
export function gatherConvolutionWasm(
  conv: GatherShape,
  operands: GatherOperands,
  engine: Engine,
  algorithm: Algorithm = !engine.exact && isWinograd(conv) && winogradWins(conv) ? 'winograd' : 'direct',
): void {
  if (isDepthwise(conv)) depthwiseWasm(conv, operands, engine);
  else if (algorithm === 'winograd' && isWinograd(conv)) winogradWasm(conv, operands, engine);
  else convolveDirectly(conv, operands, engine);
}

/** Each group's part of the source is laid apart, so that taps beside each other read values that follow each other. */
function convolveDirectly(conv: GatherShape, operands: GatherOperands, engine: Engine): void {
  const { groups, rows, columns } = conv;
  const { bias, relu } = operands;
  for (const pair of eachPhase(conv, groups, operands.source, engine)) {
    const { x, y, yOffset, outer, outerStep, inner, innerStep } = placePhase(conv, pair);
    // Taps beside each other in a row are one piece.
    const joined = pair.across.taps.offsetStep === 1;
    const product = {
      groups,
      x,
      y: { ...y, address: operands.y.address + yOffset },
      height: pair.down.count,
      width: pair.across.count,
      pixels: conv.batch * pair.down.count * pair.across.count,
      outer,
      outerStep,
      inner: joined ? 1 : inner,
      innerStep,
      length: joined ? inner * rows : rows,
      panels: packWeight(conv, pair, operands.weight, engine),
      columns,
      bias: bias?.address ?? 0,
      residual: operands.residual ? operands.residual.address + yOffset : 0,
      relu,
    };
    runGemm(product, engine);
  }
}

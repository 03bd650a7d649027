import type { Engine, WasmOperand } from '../cpu/wasm/call.ts';
import { panelBytes, panelsOf, runGemm } from '../matmul/gemm.ts';
import { depthwiseWasm, isDepthwise } from './depthwise.ts';
import type { GatherConvolution } from './geometry.ts';
import type { GatherOperands } from './operands.ts';
import { eachPhase, type PhasePair, placePhase, placeWeight } from './source.ts';
import { isWinograd, winogradWasm, winogradWins } from './winograd.ts';

export type Algorithm = 'direct' | 'winograd';

/** See `GatherConvolution`; source, result and residual are channels-last. */
export function gatherConvolutionWasm(
  conv: GatherConvolution,
  operands: GatherOperands,
  engine: Engine,
  algorithm: Algorithm = choose(conv, operands, engine),
): void {
  if (isDepthwise(conv)) depthwiseWasm(conv, operands, engine);
  else if (algorithm === 'winograd' && isWinograd(conv)) winogradWasm(conv, operands, engine);
  else convolveDirectly(conv, operands, engine);
}

/** Weights that change would have to be transformed each time. */
function choose(conv: GatherConvolution, { weight }: GatherOperands, { exact }: Engine): Algorithm {
  return !exact && weight.storage?.constant === true && isWinograd(conv) && winogradWins(conv) ? 'winograd' : 'direct';
}

/** Each group's part of the source is laid apart, so that taps beside each other read values that follow each other. */
function convolveDirectly(conv: GatherConvolution, operands: GatherOperands, engine: Engine): void {
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

/** The address of the weights of a phase as panels. They are read wherever they lie. */
function packWeight(conv: GatherConvolution, pair: PhasePair, weight: WasmOperand, { run, workspace }: Engine): number {
  const { groups, rows, columns } = conv;
  const { down, across } = pair;
  const products = down.taps.count * across.taps.count * rows;
  const panels = groups * panelsOf(columns);
  const { first, ...steps } = placeWeight(conv, pair, weight);
  const layout = { ...steps, outer: down.taps.count, inner: across.taps.count, rows, columns };
  const key = `panels ${groups} ${first} ${Object.values(layout)}`;
  return workspace.pack(weight, key, panels * panelBytes(products), (to) => {
    const job = {
      panels: to,
      w: weight.address + first,
      group: layout.group,
      outer: layout.outer,
      outerStep: layout.down,
      inner: layout.inner,
      innerStep: layout.across,
      rows,
      rowStep: layout.rowStep,
      columns,
      columnStep: layout.columnStep,
    };
    run('packPanels', job, panels);
  });
}

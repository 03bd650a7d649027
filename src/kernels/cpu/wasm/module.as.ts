/* All kernels of the CPU device that are written in AssemblyScript, as one module; see scripts/build-wasm.mjs. */
export { copyRows } from '../../assemble/assemble.as';
export { depthwise, depthwiseWeightGradient } from '../../conv2d/depthwise.as';
export { packPanels, pad, toPlanes } from '../../conv2d/pack.as';
export { winogradInput, winogradOutput, winogradWeights } from '../../conv2d/winograd.as';
export { gemm } from '../../matmul/gemm.as';
export { add, multiplyAdd, multiplyAddRelu } from '../../pointwise/pointwise.as';

/* All kernels of the CPU device that are written in AssemblyScript, as one module; see scripts/build-wasm.mjs. */
export { argmax } from '../../argmax/argmax.as';
export { depthwise, depthwiseWeightGradient } from '../../conv2d/depthwise.as';
export { packPanels, pad, toPlanes } from '../../conv2d/pack.as';
export { winogradInput, winogradProduct } from '../../conv2d/winograd.as';
export { copy } from '../../copy/copy.as';
export { gemm } from '../../matmul/gemm.as';
export * from '../../pointwise/pointwise.as';
export * from '../../pool/pool.as';
export { reduceMax, reduceSum } from '../../reduce/reduce.as';
export { interpolate } from '../../resize/resize.as';
export { softmax } from '../../softmax/softmax.as';

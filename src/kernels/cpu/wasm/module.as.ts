/* All kernels of the CPU device that are written in AssemblyScript, as one module; see scripts/build-wasm.mjs. */
export { argmax } from '../../argmax/argmax.as';
export { convolve, packPanels } from '../../conv2d/conv2d.as';
export { copy } from '../../copy/copy.as';
export * from '../../pointwise/pointwise.as';
export * from '../../pool/pool.as';
export { reduceMax, reduceSum } from '../../reduce/reduce.as';
export { interpolate } from '../../resize/resize.as';
export { softmax } from '../../softmax/softmax.as';

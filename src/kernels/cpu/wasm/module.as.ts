/* All kernels of the CPU device that are written in AssemblyScript, as one module; see scripts/build-wasm.mjs. */
export { convolve, packPanels } from '../../conv2d/conv2d.as';
export { copy } from '../../copy/copy.as';
export * from '../../pointwise/pointwise.as';

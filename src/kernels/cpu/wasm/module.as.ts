/* All kernels of the CPU device that are written in AssemblyScript, as one module; see scripts/build-wasm.mjs. */
export { copyRows } from '../../assemble/assemble.as';
export { convolve, packPanels } from '../../conv2d/conv2d.as';
export { add, multiplyAdd, multiplyAddRelu } from '../../pointwise/pointwise.as';

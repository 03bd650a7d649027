import { runKernels, runVariants } from '../support/smoke-kernels.ts';

/* What Deno runs: prints the results as JSON. */

const choices = JSON.parse(process.argv[2] ?? '[]');
const [webgpu, cpu] = [await runKernels('webgpu'), await runKernels('cpu')];
console.log(JSON.stringify({ webgpu, cpu, variants: await runVariants(choices) }));

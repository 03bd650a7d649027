import { setFlagsFromString } from 'node:v8';
import { hasRelaxedSimd } from '../../src/kernels/cpu/wasm/kernels.ts';

// As the command does; Node 20 has relaxed SIMD behind this flag.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');

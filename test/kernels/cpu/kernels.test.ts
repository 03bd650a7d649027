import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CpuDevice } from '../../../src/kernels/cpu/device.ts';
import { CPU_KERNELS, type CpuKernels, chooseKernels } from '../../../src/kernels/cpu/wasm/kernels.ts';
import { add, concat, conv2d, multiplyAdd, multiplyAddRelu, tensor } from '../../../src/kernels/index.ts';
import { CHANNELS_LAST } from '../../../src/tensor/layout.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import type { Shape } from '../../../src/tensor/shape.ts';
import { wave } from '../../support/numbers.ts';
import '../../support/relaxed-simd.ts';

describe.each(['wasm', 'wasm-relaxed'] as const)('the %s kernels', (kernels: CpuKernels) => {
  let device: CpuDevice;
  let oracle: CpuDevice;
  beforeAll(() => {
    device = new CpuDevice({ kernels });
    oracle = new CpuDevice({ kernels: 'typescript' });
  });
  afterAll(() => {
    expect(device.memory().live, 'bytes left on the device').toBe(0);
    device.destroy();
    oracle.destroy();
  });

  it('add, normalise and concatenate as the TypeScript kernels do, bit for bit', async () => {
    const shapes = fc.record({
      shape: fc.tuple(...[3, 19, 4, 4].map((max) => fc.integer({ min: 1, max }))),
      broadcast: fc.tuple(...[0, 1, 2, 3].map(() => fc.boolean())),
      other: fc.integer({ min: 1, max: 9 }),
      order: fc.constantFrom(CHANNELS_LAST, [0, 1, 2, 3]),
      axis: fc.integer({ min: 0, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ shape, broadcast, other, order, axis }) => {
        const compute = (on: CpuDevice) => {
          using scope = new Scope();
          const make = (of: Shape, phase: number) => tensor(on, wave(of, phase), of, { scope, order });
          const a = make(shape, 0);
          const stretched = shape.map((size, k) => (broadcast[k] ? 1 : size));
          const [b, c] = [make(stretched, 1), make(stretched, 2)];
          const longer = shape.map((size, k) => (k === axis ? other : size));
          const joined = concat([a, make(longer, 3), a], axis);
          const results = [add(a, c), multiplyAdd(a, b, c), multiplyAddRelu(a, b, c), joined];
          return Promise.all(results.map((result) => result.data()));
        };
        expect(await compute(device)).toEqual(await compute(oracle));
      }),
      { numRuns: 100 },
    );
  });

  it.each([3, 4])('let a NaN and an infinity come through when they normalise %i channels', async (channels) => {
    using scope = new Scope();
    const values = [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 2].slice(0, channels);
    const x = tensor(device, values, [1, channels, 1, 1], { scope });
    const one = tensor(device, new Float32Array(channels).fill(1), [channels, 1, 1], { scope });
    expect(Array.from(await multiplyAdd(x, one, one).data())).toEqual(values.map((v) => v + 1));
    expect(Array.from(await multiplyAddRelu(x, one, one).data())).toEqual(values.map((v) => Math.max(v + 1, 0)));
  });
});

describe('without shared memory', () => {
  it('the same module runs in a memory of its own, and follows it when it grows', async () => {
    const { Memory } = WebAssembly;
    WebAssembly.Memory = class extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        if (descriptor.shared) throw new TypeError('shared memory is not allowed');
        super(descriptor);
      }
    };
    const device = new CpuDevice({ kernels: 'wasm' });
    WebAssembly.Memory = Memory;
    using scope = new Scope();
    const x = tensor(device, new Float32Array(3e6).fill(1), [1, 3, 1000, 1000], { scope });
    const weight = tensor(device, [1, 2, 3], [1, 3, 1, 1], { scope });
    const y = await conv2d(x, weight).data();
    expect(y.every((value) => value === 6)).toBe(true);
  });
});

describe('the choice of kernels', () => {
  it('is the fastest that the host runs', () => {
    expect(chooseKernels()).toBe(CPU_KERNELS.at(-1));
  });

  it.each(CPU_KERNELS)('can be forced to %s by the environment', (kernels) => {
    vi.stubEnv('FMGCAM_CPU_KERNELS', kernels);
    using device = new CpuDevice();
    vi.unstubAllEnvs();
    expect(device.kernels).toBe(kernels);
  });

  it('is TypeScript where there is no SIMD, and says so when asked for more', () => {
    const validate = vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    expect(chooseKernels()).toBe('typescript');
    expect(() => chooseKernels('wasm')).toThrow('this host cannot run the wasm kernels; use typescript');
    validate.mockRestore();
  });

  it('refuses names that it does not know', () => {
    expect(() => chooseKernels('fortran')).toThrow(
      'CPU kernels "fortran" are unknown; use typescript, wasm, wasm-relaxed',
    );
  });
});

import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { conv2d, tensor } from '../../../src/kernels/index.ts';
import { Scope } from '../../../src/tensor/scope.ts';
import { type Convolution, convolutions, convolve, expectConvolution, winograd } from '../../support/convolutions.ts';
import { expectClose, wave } from '../../support/numbers.ts';
import { cutUp, describeBuilds, guardHeaps } from '../../support/wasm-kernels.ts';

let inPieces = false;
vi.mock('../../../src/kernels/cpu/wasm/kernels.ts', async (original) => {
  const real = await original<typeof import('../../../src/kernels/cpu/wasm/kernels.ts')>();
  const instantiate: typeof real.instantiate = (...args) => cutUp(real.instantiate(...args), () => inPieces);
  return { ...real, instantiate };
});
guardHeaps();

/** Relative L2, against sums in double precision. */
const TOLERANCE = { exact: 1e-6, fast: 1e-5 };

describeBuilds('the convolutions', (pair, precision) => {
  /** Bit for bit the same, however the units are shared out. */
  async function runTwice<T>(compute: () => Promise<T>): Promise<T> {
    const whole = await compute();
    inPieces = true;
    try {
      expect(await compute()).toEqual(whole);
    } finally {
      inPieces = false;
    }
    return whole;
  }

  async function expectAgreement(c: Convolution, tolerance: number): Promise<void> {
    const { device, oracle } = pair();
    await expectConvolution(await runTwice(() => convolve(device, c)), oracle, c, tolerance);
  }

  it('agree with the TypeScript kernels, forward and backward', async () => {
    await fc.assert(
      fc.asyncProperty(convolutions, async (c) => {
        await expectAgreement(c, TOLERANCE[precision]);
      }),
      { numRuns: 12 },
    );
  });

  it('agree with the TypeScript kernels where each channel is a group', async () => {
    await fc.assert(
      fc.asyncProperty(convolutions, fc.integer({ min: 1, max: 21 }), async (c, groups) => {
        await expectAgreement({ ...c, groups, channels: 1, out: 1 }, TOLERANCE[precision]);
      }),
      { numRuns: 12 },
    );
  });

  it('agree with the TypeScript kernels by the algorithm of Winograd', async () => {
    await fc.assert(
      fc.asyncProperty(winograd, async (c) => {
        await expectAgreement(c, TOLERANCE.fast);
      }),
      { numRuns: 12 },
    );
  });

  it.each([
    { what: 'several blocks of tiles', channels: 512, out: 4, size: [28, 28] as [number, number] },
    { what: 'units of several panels', channels: 8, out: 68, size: [13, 12] as [number, number] },
  ])('agree with the TypeScript kernels by the algorithm of Winograd in $what', async ({ channels, out, size }) => {
    const c: Convolution = {
      ...{
        batch: 1,
        groups: 1,
        channels,
        out,
        size,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
      },
      ...{ bias: true, residual: true, relu: true, constant: true, algorithm: 'winograd' },
    };
    await expectAgreement(c, TOLERANCE.fast);
  });

  it.each([2, 3])('sum the weight gradient over %i images in as many passes', async (batch) => {
    const c: Convolution = {
      ...{ batch, groups: 2, channels: 3, out: 5, size: [60, 60], kernel: [3, 2], stride: [1, 1] },
      ...{ padding: [1, 1], dilation: [1, 1], bias: false, residual: false, relu: false, constant: false },
    };
    await expectAgreement(c, TOLERANCE[precision]);
  });

  it('agree where there are many units', async () => {
    const c: Convolution = {
      ...{ batch: 2, groups: 1, channels: 40, out: 70, size: [20, 30], kernel: [3, 3], stride: [2, 1] },
      ...{ padding: [1, 1], dilation: [1, 1], bias: true, residual: true, relu: true, constant: true },
    };
    await expectAgreement(c, TOLERANCE[precision]);
  });

  it('keep the rounding of long sums small', async () => {
    using scope = new Scope();
    const [channels, out] = [2048, 8];
    const sums = await Promise.all(
      [pair().device, pair().oracle].map((on) => {
        const x = tensor(on, wave([1, channels, 5, 5], 0).map(Math.abs), [1, channels, 5, 5], { scope });
        const weight = tensor(on, wave([out, channels, 3, 3], 1).map(Math.abs), [out, channels, 3, 3], { scope });
        return conv2d(x, weight).data();
      }),
    );
    expectClose(sums[0] ?? [], sums[1] ?? [], precision === 'exact' ? 3e-7 : 1e-5);
  });

  it.each([9, 3])('let a NaN come through the ReLU, in a column of a panel of %i', async (out) => {
    using scope = new Scope();
    const { device } = pair();
    const x = tensor(device, [Number.NaN, -1], [1, 1, 1, 2], { scope });
    const weight = tensor(device, new Float32Array(out).fill(1), [out, 1, 1, 1], { scope });
    const y = await conv2d(x, weight, { activation: 'relu' }).data();
    expect(Array.from(y)).toEqual(Array.from({ length: out }, () => [Number.NaN, 0]).flat());
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { summarise } from '../../bench/statistics.ts';
import { convolutionTarget, judge, peerTarget, TARGETS, webgpuTarget } from '../../bench/targets.ts';
import { relativeError } from '../../src/relative-error.ts';

describe('summarise', () => {
  it('takes the middle of an odd number of times, and the mean of the two in the middle of an even one', () => {
    expect(summarise([30, 10, 11])).toEqual({ runs: 3, min: 10, median: 11, spread: 3, noisy: false });
    expect(summarise([10, 20, 14, 12])).toEqual({ runs: 4, min: 10, median: 13, spread: 2, noisy: true });
  });

  it('calls it noise when the median is more than 15 % above the minimum', () => {
    expect(summarise([100, 114, 114]).noisy).toBe(false);
    expect(summarise([100, 116, 116]).noisy).toBe(true);
  });

  it('does not depend on the order, and keeps minimum, median and maximum in order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1 }), (times) => {
        const { min, median, spread } = summarise(times);
        expect(summarise([...times].reverse())).toEqual(summarise(times));
        expect(min).toBe(Math.min(...times));
        expect(median).toBeGreaterThanOrEqual(min);
        expect(median).toBeLessThanOrEqual(Math.max(...times));
        expect(spread).toBe(Math.max(...times) / min);
      }),
    );
  });

  it('refuses an empty list', () => {
    expect(() => summarise([])).toThrow('no times');
  });
});

describe('relativeError', () => {
  it('is the distance over the norm of what is expected', () => {
    expect(relativeError([3, 4], [3, 4])).toBe(0);
    expect(relativeError([3, 5], [3, 4])).toBeCloseTo(1 / 5, 12);
    expect(relativeError([2, 0], [0, 0])).toBe(2);
  });

  it('is not a number when a value is missing or not a number', () => {
    expect(relativeError([1], [1, 2])).toBeNaN();
    expect(relativeError([1, Number.NaN], [1, 2])).toBeNaN();
  });
});

describe('targets', () => {
  it('is met up to the limit itself, from either side', () => {
    expect([1.5, 1.51, 3, 3.01].map((ratio) => judge(ratio, TARGETS.coldOverWarm))).toEqual([
      'stretch',
      'met',
      'met',
      'missed',
    ]);
    expect([0.95, 0.94, 0.8, 0.79].map((ratio) => judge(ratio, TARGETS.fractionOfPeak))).toEqual([
      'stretch',
      'met',
      'met',
      'missed',
    ]);
  });

  it('is never met by what is not a number', () => {
    expect(judge(Number.NaN, TARGETS.coldOverWarm)).toBe('missed');
  });

  it('exists for the promised combinations only', () => {
    expect(peerTarget('onnxruntime-node', 'resnet18', 2)).toEqual({ bound: 'at most', promised: 0.85, stretch: 0.75 });
    expect(peerTarget('onnxruntime-node', 'resnet18', 1)).toBeUndefined();
    expect(peerTarget('tfjs-backend-wasm', 'resnet18', 1)).toBeUndefined();
  });

  it('is that of the software driver on WebGPU, by the name of the adapter', () => {
    const lavapipe = 'llvmpipe: Mesa 25.0.7 (LLVM 15.0.6) 0.0.1';
    const shape = { channels: 64, out: 64, kernel: 3, stride: 1, size: 56, residual: false };
    expect(webgpuTarget('tfjs-backend-webgpu', 'resnet18', lavapipe)?.promised).toBe(0.25);
    expect(webgpuTarget('onnxruntime-node', 'resnet18', lavapipe)).toBeUndefined();
    expect(webgpuTarget('onnxruntime-node', 'resnet50', 'NVIDIA Tesla T4')).toBeUndefined();
    expect(convolutionTarget(shape, lavapipe)?.stretch).toBe(0.15);
    const without = convolutionTarget({ ...shape, kernel: 1 }, lavapipe);
    expect(without && judge(0.01, without)).toBe('met');
    expect(convolutionTarget(shape, 'SwiftShader driver 5.0.0')?.promised).toBe(0.08);
    expect(convolutionTarget(shape, 'NVIDIA Tesla T4')).toBeUndefined();
  });
});

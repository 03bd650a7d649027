import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeviceError } from '../../src/errors.ts';
import { Heap, type HeapBlock } from '../../src/kernels/cpu/heap.ts';
import { at } from '../../src/tensor/shape.ts';

const ALIGNMENT = 64;

/** Take so many bytes, or give back one of the blocks that are out. */
const steps = fc.array(
  fc.oneof(fc.record({ take: fc.oneof(fc.nat(300), fc.nat(200_000), fc.constant(0)) }), fc.record({ give: fc.nat() })),
  { minLength: 1, maxLength: 60 },
);

function expectApart(blocks: readonly HeapBlock[], end: number): void {
  let free = ALIGNMENT;
  for (const { start, bytes } of blocks.toSorted((a, b) => a.start - b.start)) {
    expect(start).toBeGreaterThanOrEqual(free);
    expect(start % ALIGNMENT).toBe(0);
    free = start + bytes;
  }
  expect(free).toBeLessThanOrEqual(end);
}

describe('the heap of the CPU device', () => {
  // One heap for all runs, because each of them must leave it as it was: all in one piece.
  const heap = new Heap();

  it('hands out blocks that do not overlap, and gets its room back in one piece', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const out: HeapBlock[] = [];
        for (const step of sequence) {
          if ('take' in step) {
            const block = heap.allocate(step.take);
            expect(block.bytes).toBeGreaterThanOrEqual(Math.max(step.take, 4));
            out.push(block);
          } else if (out.length > 0) {
            heap.release(at(out.splice(step.give % out.length, 1), 0));
          }
          expectApart(out, heap.buffer.byteLength);
          expect(heap.blocks).toBe(out.length);
          expect(heap.live).toBe(out.reduce((sum, { bytes }) => sum + bytes, 0));
          expect(heap.live + heap.pooled).toBe(heap.buffer.byteLength - ALIGNMENT);
        }
        for (const block of out) heap.release(block);

        const size = heap.buffer.byteLength;
        const whole = heap.allocate(heap.pooled);
        expect([heap.pooled, heap.buffer.byteLength]).toEqual([0, size]);
        heap.release(whole);
      }),
    );
  });

  it('takes the smallest room that fits', () => {
    const [small, wall, large, end] = [128, 64, 256, 64].map((bytes) => heap.allocate(bytes));
    if (!small || !wall || !large || !end) throw new Error('four blocks were asked for');
    heap.release(large);
    heap.release(small);
    const again = heap.allocate(100);
    expect(again.start).toBe(small.start);
    for (const block of [again, wall, end]) heap.release(block);
  });

  it('keeps what is in it when it grows', () => {
    const block = heap.allocate(8);
    new Float32Array(heap.buffer, block.start, 2).set([1.5, -2.5]);
    const before = heap.buffer.byteLength;
    const large = heap.allocate(before);
    expect(heap.buffer.byteLength).toBeGreaterThan(before);
    expect(Array.from(new Float32Array(heap.buffer, block.start, 2))).toEqual([1.5, -2.5]);
    heap.release(large);
    heap.release(block);
  });

  it('says so when there is no room, and stays as it was', () => {
    const before = { size: heap.buffer.byteLength, live: heap.live, pooled: heap.pooled, blocks: heap.blocks };
    const allocate = () => heap.allocate(5 * 2 ** 30);
    expect(allocate).toThrow(DeviceError);
    expect(allocate).toThrow(
      /^the CPU device is out of memory: 5368709120 bytes more than the 0 in use do not fit; use a smaller image or batch$/,
    );
    expect({ size: heap.buffer.byteLength, live: heap.live, pooled: heap.pooled, blocks: heap.blocks }).toEqual(before);
  });
});

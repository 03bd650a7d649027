import { describe, expect, it } from 'vitest';
import { matmulDefinition } from '../../../src/kernels/matmul/index.ts';
import { type ShaderTarget, TILINGS } from '../../../src/kernels/webgpu/tiles.ts';
import { denseLayout, type TensorSpec } from '../../../src/tensor/layout.ts';
import { gpu, lavapipe } from '../../support/adapter-facts.ts';

const DEPTH = 512;
const COLUMNS = 1000;
const spec = (shape: number[]): TensorSpec => ({ ...denseLayout(shape), dtype: 'float32' });
const rowMajor = spec([DEPTH, COLUMNS]);
/** A linear layer's weight. */
const transposed: TensorSpec = { ...rowMajor, strides: [1, DEPTH] };

/** The kernels that multiply `rows` rows by b. */
function kernels(rows: number, b: TensorSpec, target: ShaderTarget): string[] {
  const inputs = [spec([rows, DEPTH]), b];
  const programs = matmulDefinition.webgpu({ inputs, outputs: [spec([rows, COLUMNS])], attributes: {}, target });
  return programs.map(({ key }) => key);
}

describe('the kernel of a matrix product', () => {
  it.each([
    ['reads one row as it lies on a CPU', 1, transposed, lavapipe, ['matmul/tile/1']],
    ['splits the depth of one row over a workgroup on hardware', 1, transposed, gpu, ['matmul/split/1']],
    ['does not where b is read across', 1, rowMajor, gpu, ['matmul/tile/1']],
    ['is that of the convolutions for more', 197, rowMajor, lavapipe, ['conv2d/subgroup/16x7/rows4/columns4']],
    ['is that on hardware too', 197, rowMajor, gpu, ['conv2d/workgroup-32x32/4x4/rows4/columns4']],
    [
      'adds up parts where hardware has few tiles',
      32,
      rowMajor,
      gpu,
      ['conv2d/workgroup-32x32/4x4/rows4/columns4', 'conv2d/splits/4'],
    ],
  ] as const)('%s', (_, rows, b, target, expected) => {
    expect(kernels(rows, b, target)).toEqual(expected);
  });

  it('is that for single rows of many matrices that share b, which would be read for each of them', () => {
    const inputs = [spec([5, 1, DEPTH]), rowMajor];
    const programs = matmulDefinition.webgpu({
      ...{ inputs, outputs: [spec([5, 1, COLUMNS])], attributes: {}, target: lavapipe },
    });
    expect(programs.map(({ key }) => key)).toEqual(['conv2d/subgroup/16x4/rows4/columns4']);
  });

  it.each(TILINGS)('is that in tiles %s where they are asked for, even for one row', (tiling) => {
    for (const target of [gpu, lavapipe]) {
      expect(kernels(1, transposed, { ...target, tiling, splits: 1 })).toEqual([
        expect.stringMatching(`^conv2d/${tiling}/\\d+x\\d+/rows4/columns4$`),
      ]);
    }
  });
});

import {
  denseLayout,
  expandLayout,
  isDense,
  type Layout,
  physicalOrder,
  type TensorSpec,
} from '../../tensor/layout.ts';
import { at, sizeOf } from '../../tensor/shape.ts';
import { matricesPrograms } from '../conv2d/wgsl.ts';
import { copyKernel } from '../copy/kernel.ts';
import { addressingUniforms, type IterationSpace } from '../core/iteration.ts';
import type { WgslInput } from '../device.ts';
import { halved, isHalved } from '../webgpu/halves.ts';
import {
  FLOAT,
  linearGrid,
  type ProgramOperand,
  type Uniform,
  type WgslProgram,
  WORKGROUP,
} from '../webgpu/program.ts';
import type { ShaderTarget } from '../webgpu/tiles.ts';
import { lastTwo } from './last-two.ts';
import { OPERANDS, splitShader, TILE, tileShader } from './matmul.wgsl.ts';

/** `tiling`: the core of the convolutions, in the tiling that is chosen. The others read through any strides. */
export const SHADERS = ['tiling', 'tile', 'split'] as const;
export type Shader = (typeof SHADERS)[number];

interface Operands {
  readonly y: TensorSpec;
  readonly a: TensorSpec;
  readonly b: WgslInput;
}

export function matmulPrograms(
  batch: IterationSpace,
  operands: Operands,
  target: ShaderTarget,
  shader: Shader = usualShader(operands, target),
): WgslProgram[] {
  const { y, b } = operands;
  const [depth] = lastTwo(b.shape);
  if (shader === 'tiling' && depth > 0) return tilingPrograms(operands, target);
  const [rows, columns] = lastTwo(y.shape);
  const rowTiles = Math.ceil(rows / TILE);
  const columnTiles = Math.ceil(columns / TILE);
  const count = batch.count * rowTiles * columnTiles;
  const split = shader === 'split';
  // The copy lies as b does, whose numbers must be all that there are.
  const halves = isHalved(b, target) && isDense(b, physicalOrder(b));
  return [
    {
      key: `matmul/${split ? 'split' : 'tile'}/${batch.sizes.length}${halves ? '/f16' : ''}`,
      code: () => (split ? splitShader : tileShader)(batch),
      extensions: halves ? ['f16'] : [],
      bindings: [
        { name: 'a', type: 'f32', operand: { input: 0 } },
        { name: 'b', type: halves ? 'f16' : 'f32', operand: halves ? halved(1, sizeOf(b.shape)) : { input: 1 } },
        { name: 'y', type: 'f32', operand: { output: 0 } },
      ],
      uniforms: [
        ['count', 'u32', count],
        ...addressingUniforms(batch, OPERANDS),
        ['rows', 'u32', rows],
        ['columns', 'u32', columns],
        ['depth', 'u32', depth],
        ['row_tiles', 'u32', rowTiles],
        ['column_tiles', 'u32', columnTiles],
        ...OPERANDS.flatMap((name) => strideUniforms(name, operands[name])),
      ],
      workgroups: linearGrid(split ? count * WORKGROUP : count),
    },
  ];
}

/**
 * Few rows make too few tiles for a GPU; a workgroup for each reads b well where the columns of b are contiguous, but a CPU that
 * plays GPU is slow at its barriers. With more rows, tiles pay for bringing the operands into order, and they read a matrix b that several
 * matrices share only once. Who asks for tiles gets them.
 */
function usualShader({ y, b }: Operands, { software, tiling }: ShaderTarget): Shader {
  const [rows] = lastTwo(y.shape);
  if (isShared(b) && sizeOf(y.shape.slice(0, -2)) > 1) return 'tiling';
  const [depth] = lastTwo(b.shape);
  const [rowStride] = lastTwo(b.strides);
  if (tiling || rows > (software ? TILE : 2 * TILE)) return 'tiling';
  return !software && rowStride === 1 && depth >= 4 * WORKGROUP ? 'split' : 'tile';
}

const isShared = (b: TensorSpec) => sizeOf(b.shape.slice(0, -2)) === 1;

/** Row by row of a, and column by column of b; either is copied if it does not lie so. */
function tilingPrograms({ y, a, b }: Operands, target: ShaderTarget): WgslProgram[] {
  const batch = y.shape.slice(0, -2);
  const [rows, columns] = lastTwo(y.shape);
  const [, depth] = lastTwo(a.shape);
  // One matrix b for all of a is one product.
  const shared = isShared(b);
  const matrices = shared ? 1 : sizeOf(batch);
  const every = (x: Layout) => expandLayout(x, [...batch, ...x.shape.slice(-2)]);
  const bMatrices = shared ? { ...b, shape: b.shape.slice(-2), strides: b.strides.slice(-2) } : every(b);
  const columnByColumn = swapLastTwo(bMatrices);
  const halves = isHalved(b, target) && isDense(columnByColumn);
  return matricesPrograms(
    { groups: matrices, pixels: (sizeOf(batch) * rows) / matrices, rows: depth, columns },
    target,
    {
      source: denseOperand(every(a), 0, target),
      w: halves ? halved(1, sizeOf(columnByColumn.shape)) : denseOperand(columnByColumn, 1, target),
      halves,
      y: { output: 0 },
      groupsApart: true,
    },
  );
}

function swapLastTwo({ shape, strides, offset }: Layout): Layout {
  const swap = (list: readonly number[]) => [
    ...list.slice(0, -2),
    at(list, list.length - 1),
    at(list, list.length - 2),
  ];
  return { shape: swap(shape), strides: swap(strides), offset };
}

/** An input where it lies, if that is row-major, else a copy. */
function denseOperand(layout: Layout, input: number, target: ShaderTarget): ProgramOperand {
  if (isDense(layout)) return { input };
  const { shape } = layout;
  const spec = (layout: Layout): TensorSpec => ({ ...layout, dtype: 'float32' });
  const program = at(
    copyKernel.webgpu({
      inputs: [spec(layout)],
      outputs: [spec(denseLayout(shape))],
      attributes: undefined,
      target,
    }),
    0,
  );
  return { packed: { input, bytes: FLOAT * sizeOf(shape), program } };
}

function strideUniforms(name: string, { strides }: TensorSpec): Uniform[] {
  const [rowStride, columnStride] = lastTwo(strides);
  return [
    [`${name}_row_stride`, 'u32', rowStride],
    [`${name}_column_stride`, 'u32', columnStride],
  ];
}

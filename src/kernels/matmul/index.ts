import { UsageError } from '../../errors.ts';
import { expandLayout, type Layout, type TensorSpec } from '../../tensor/layout.ts';
import { tidy } from '../../tensor/scope.ts';
import { at, broadcastShapes, formatShape, type Shape, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type IterationSpace, iterate, iterationSpace } from '../core/iteration.ts';
import { broadcastAxis } from '../core/ways.ts';
import type { HostOperand } from '../device.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { add } from '../pointwise/index.ts';
import { reshape, transpose } from '../view/index.ts';
import { lastTwo } from './last-two.ts';
import { matmulWasm } from './wasm.ts';
import { matmulPrograms, type Shader } from './wgsl.ts';

export interface MatmulAttributes {
  /** The shader on WebGPU; by the sizes when left out. Tests ask for each. */
  readonly shader?: Shader;
}

/** y = a b, matrix by matrix over the broadcast batch axes. Any strides will do. */
export const matmulDefinition: OpDefinition<MatmulAttributes> = {
  name: 'matmul',

  outputs([a, b]) {
    if (!a || !b) return [];
    return [{ shape: [...batchShape(a, b), at(a.shape, a.shape.length - 2), at(b.shape, b.shape.length - 1)] }];
  },

  host({ inputs: [a, b], outputs: [y] }) {
    if (!a || !b || !y) return;
    iterate(batchSpace(y, a, b), (toY, fromA, fromB) => {
      multiply(matrixOf(y, toY), matrixOf(a, fromA), matrixOf(b, fromB));
    });
  },

  wasm({ inputs: [a, b], outputs: [y], ...call }) {
    return a !== undefined && b !== undefined && y !== undefined && matmulWasm(batchSpace(y, a, b), { y, a, b }, call);
  },

  webgpu({ inputs: [a, b], outputs: [y], attributes: { shader }, target }) {
    return a && b && y ? matmulPrograms(batchSpace(y, a, b), { y, a, b }, target, shader) : [];
  },

  dense: true,
  ways({ inputs: [a, b], outputs: [y] }) {
    if (!a || !b || !y) return [];
    const [first, second, result] = [a, b, y].map(({ shape }) => shape.length);
    if (!first || !second || !result) return [];
    const batch = y.shape.slice(0, -2);
    return [
      ...batch.map((_, axis) => ({
        inputs: [a, b].map(({ shape }) => broadcastAxis(shape.slice(0, -2), batch, axis)),
        outputs: [axis],
      })),
      { inputs: [first - 2, undefined], outputs: [result - 2] },
      { inputs: [undefined, second - 1], outputs: [result - 1] },
      { inputs: [first - 1, second - 2], outputs: [undefined], combine: 'sum' },
    ];
  },
};

function batchShape(a: TensorSpec, b: TensorSpec): number[] {
  return broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
}

/** The loops over the matrices of a batch; the addresses are those of their first elements. */
function batchSpace(y: Layout, a: Layout, b: Layout): IterationSpace {
  const batch = y.shape.slice(0, -2);
  return iterationSpace(
    [y, a, b].map(({ shape, strides, offset }) =>
      expandLayout({ shape: shape.slice(0, -2), strides: strides.slice(0, -2), offset }, batch),
    ),
  );
}

interface Matrix {
  readonly data: HostOperand['data'];
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

function matrixOf({ data, shape, strides }: HostOperand, offset: number): Matrix {
  const [rows, columns] = lastTwo(shape);
  const [rowStride, columnStride] = lastTwo(strides);
  return { data, offset, rows, columns, rowStride, columnStride };
}

/**
 * y = a b, four columns at a time: each element of a that is read serves four sums. The arrays are indexed without `at`,
 * which meets arrays of every kind and would make this five times slower.
 */
function multiply(y: Matrix, a: Matrix, b: Matrix): void {
  const { data: aData, columns: depth, columnStride: aStep } = a;
  const { data: bData, rowStride: bStep } = b;
  const lastColumn = y.columns - 1;
  for (let n = 0; n < y.columns; n += 4) {
    // At the edge the last column is computed repeatedly.
    const [n1, n2, n3] = [Math.min(n + 1, lastColumn), Math.min(n + 2, lastColumn), Math.min(n + 3, lastColumn)];
    const b0 = b.offset + n * b.columnStride;
    const b1 = b.offset + n1 * b.columnStride;
    const b2 = b.offset + n2 * b.columnStride;
    const b3 = b.offset + n3 * b.columnStride;
    for (let m = 0; m < y.rows; m++) {
      let sum0 = 0;
      let sum1 = 0;
      let sum2 = 0;
      let sum3 = 0;
      let fromA = a.offset + m * a.rowStride;
      let fromB = 0;
      for (let k = 0; k < depth; k++) {
        const value = aData[fromA] ?? 0;
        sum0 += value * (bData[b0 + fromB] ?? 0);
        sum1 += value * (bData[b1 + fromB] ?? 0);
        sum2 += value * (bData[b2 + fromB] ?? 0);
        sum3 += value * (bData[b3 + fromB] ?? 0);
        fromA += aStep;
        fromB += bStep;
      }
      const to = y.offset + m * y.rowStride;
      y.data[to + n * y.columnStride] = sum0;
      y.data[to + n1 * y.columnStride] = sum1;
      y.data[to + n2 * y.columnStride] = sum2;
      y.data[to + n3 * y.columnStride] = sum3;
    }
  }
}

/**
 * The matrix product over the last two axes; the axes before them broadcast.
 * @param a [..., M, K]
 * @param b [..., K, N]
 * @returns [..., M, N]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.rank < 2 || b.rank < 2 || a.shape.at(-1) !== b.shape.at(-2)) {
    throw mismatch('matmul', a.shape, b.shape, '[..., M, K] and [..., K, N]');
  }
  return applySingle(matmulDefinition, [a, b], {});
}

/**
 * y = x weight^T + bias, a fully connected layer.
 * @param x [..., in]
 * @param weight [out, in], as PyTorch stores it
 * @param bias [out]
 * @returns [..., out]
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const [out = 0, features = 0] = weight.shape;
  if (weight.rank !== 2 || x.shape.at(-1) !== features) {
    throw mismatch('linear', x.shape, weight.shape, '[..., in] and [out, in]');
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== out)) {
    throw mismatch('linear', weight.shape, bias.shape, '[out, in] and [out] for weight and bias');
  }
  const leading = x.shape.slice(0, -1);
  return tidy([x, weight], (x, weight) => {
    const product = matmul(reshape(x, [sizeOf(leading), features]), transpose(weight));
    return reshape(bias ? add(product, bias) : product, [...leading, out]);
  });
}

function mismatch(op: string, a: Shape, b: Shape, wanted: string): UsageError {
  return new UsageError(`${op}: shapes ${formatShape(a)} and ${formatShape(b)} do not fit; they must be ${wanted}`);
}

import { UsageError } from '../../errors.ts';
import { type Layout, physicalOrder } from '../../tensor/layout.ts';
import { tidy } from '../../tensor/scope.ts';
import { at, formatShape, sizeOf } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { SMALL } from '../core/nest.ts';
import { type Pair, pair } from '../core/pair.ts';
import { otherAxes } from '../core/ways.ts';
import { tensor } from '../create.ts';
import { deviceOf } from '../device.ts';
import { applySingle, type OpDefinition } from '../op.ts';
import { reshape } from '../view/index.ts';
import { linearGrid, linearMain } from '../webgpu/program.ts';
import { type InterpolationTable, interpolationTable, RESIZE_MODES, type ResizeMode } from './table.ts';

export type { InterpolationTable, ResizeMode } from './table.ts';

export interface InterpolateAxisAttributes {
  /** Counted from the front. */
  readonly axis: number;
  readonly table: InterpolationTable;
}

/**
 * y[..., r, ...] = sum over taps t of weights[r, t] * x[..., indices[r, t], ...], along one axis.
 * Inputs are x and the table's indices and weights, so that one shader serves all tables; any layout of x will do, and
 * y has the same one.
 */
export const interpolateAxisDefinition: OpDefinition<InterpolateAxisAttributes> = {
  name: 'interpolateAxis',
  integers: true,

  outputs([x], { axis, table }) {
    if (!x) return [];
    return [{ shape: x.shape.map((size, k) => (k === axis ? table.rows : size)), order: physicalOrder(x) }];
  },

  layouts: ([x]) => [x && physicalOrder(x), undefined, undefined],

  host({ inputs: [x, indices, weights], outputs: [y], attributes: { axis, table } }) {
    if (!x || !indices || !weights || !y) return;
    const { outer, inner } = around(x, axis);
    const { rows, columns, taps } = table;
    const [source, column, weight, target] = [x.data, indices.data, weights.data, y.data];
    for (let o = 0; o < outer; o++) {
      for (let row = 0; row < rows; row++) {
        const to = (o * rows + row) * inner;
        for (let i = 0; i < inner; i++) {
          let sum = 0;
          for (let entry = row * taps; entry < (row + 1) * taps; entry++) {
            const from = (o * columns + (column[entry] as number)) * inner + i;
            sum += (weight[entry] as number) * (source[from] as number);
          }
          target[to + i] = sum;
        }
      }
    }
  },

  wasm({ inputs: [x, indices, weights], outputs: [y], attributes: { axis, table }, run }) {
    if (!x || !indices || !weights || !y || sizeOf(y.shape) < SMALL) return false;
    const { outer, inner } = around(x, axis);
    const { rows, columns, taps } = table;
    const [from, to] = [x.address, y.address];
    const job = { from, to, indices: indices.address, weights: weights.address, taps, rows, columns, inner };
    run('interpolate', job, outer * rows);
    return true;
  },

  webgpu({ inputs: [x], outputs: [y], attributes: { axis, table } }) {
    if (!x || !y) return [];
    const count = sizeOf(y.shape);
    return [
      {
        key: 'interpolateAxis',
        code: () => linearMain('u.count', INTERPOLATE),
        bindings: [
          { name: 'x', type: 'f32', operand: { input: 0 } },
          { name: 'indices', type: 'u32', operand: { input: 1 } },
          { name: 'weights', type: 'f32', operand: { input: 2 } },
          { name: 'y', type: 'f32', operand: { output: 0 } },
        ],
        uniforms: [
          ['count', 'u32', count],
          ['inner', 'u32', around(x, axis).inner],
          ['rows', 'u32', table.rows],
          ['columns', 'u32', table.columns],
          ['taps', 'u32', table.taps],
        ],
        workgroups: linearGrid(count),
      },
    ];
  },

  dense: true,
  ways: ({ inputs, outputs, attributes: { axis } }) => otherAxes(inputs, outputs, [axis]),
};

const INTERPOLATE = `  let row = index / u.inner % u.rows;
  let outer = index / (u.inner * u.rows);
  let start = outer * u.columns * u.inner + index % u.inner;
  var sum = 0.0;
  for (var entry = row * u.taps; entry < (row + 1u) * u.taps; entry++) {
    sum += weights[entry] * x[start + indices[entry] * u.inner];
  }
  y[index] = sum;`;

/** Numbers of elements that lie in memory around an axis: `x` is [outer, size of the axis, inner]. */
function around(x: Layout, axis: number): { outer: number; inner: number } {
  const order = physicalOrder(x);
  const position = order.indexOf(axis);
  const size = (axes: readonly number[]) => sizeOf(axes.map((k) => at(x.shape, k)));
  return { outer: size(order.slice(0, position)), inner: size(order.slice(position + 1)) };
}

/** The product of the table's matrix with every line of `x` along an axis (counted from the front). */
export function interpolateAxis(x: Tensor, axis: number, table: InterpolationTable): Tensor {
  const device = deviceOf(x);
  const shape = [table.rows, table.taps];
  const indices = tensor(device, table.indices, shape);
  const weights = tensor(device, table.weights, shape);
  try {
    return applySingle(interpolateAxisDefinition, [x, indices, weights], { axis, table });
  } finally {
    indices.dispose();
    weights.dispose();
  }
}

export interface ResizeOptions {
  /** [height, width], or one number for both. */
  readonly size: number | Pair;
  readonly mode: ResizeMode;
  /** Whether the centres of the corner pixels stay where they are, rather than the corners of the image. */
  readonly alignCorners?: boolean;
}

/**
 * Resamples the last two axes, as torch.nn.functional.interpolate without antialiasing: [..., H, W] -> [..., h, w].
 * `bicubic` is cubic convolution with a = -0.75.
 * @throws UsageError for an unknown mode, sizes below 1, or `alignCorners` with `nearest`
 */
export function resize(x: Tensor, { size, mode, alignCorners = false }: ResizeOptions): Tensor {
  const [height, width] = pair(size, 'size', 1);
  if (!RESIZE_MODES.includes(mode))
    throw new UsageError(`resize: mode "${mode}" is unknown; use ${RESIZE_MODES.join(', ')}`);
  if (alignCorners && mode === 'nearest')
    throw new UsageError('resize: alignCorners has no meaning for nearest; leave it out');
  if (x.rank < 2 || x.shape.slice(-2).includes(0)) {
    throw new UsageError(
      `resize wants images [..., H, W] that are not empty, not a tensor of shape ${formatShape(x.shape)}`,
    );
  }
  return tidy([x], (x) => {
    const resized = resizeAxis(x, x.rank - 2, height, mode, alignCorners);
    return resizeAxis(resized, x.rank - 1, width, mode, alignCorners);
  });
}

function resizeAxis(x: Tensor, axis: number, to: number, mode: ResizeMode, alignCorners: boolean): Tensor {
  const from = at(x.shape, axis);
  // All modes leave an axis of the same size as it is.
  if (from === to) return reshape(x, x.shape);
  return interpolateAxis(x, axis, interpolationTable(mode, from, to, alignCorners));
}

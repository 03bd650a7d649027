import { linearGrid, linearMain, type ProgramOperand, type Uniform, type WgslProgram } from '../webgpu/program.ts';
import { lines, WINDOWS } from './conv2d.wgsl.ts';
import type { GatherShape } from './geometry.ts';

/*
 * A convolution over an image of one to three channels: what each pixel of the result is computed from is copied to one place first,
 * and the sums are those of a 1x1 convolution with as many channels as there are taps and rows. Read in place, a vector of
 * four channels would be mostly empty, and have to be put together.
 */

/** Rows that fill no vector, and few enough that patches of all taps fit into memory. */
const FEW_ROWS = 4;

/** Whether patches can be multiplied in place of it. */
export function hasPatches({ transposed, groups, rows, kernel, dilation }: GatherShape): boolean {
  // A line of taps is then a line of memory.
  const dense = dilation[1] === 1;
  return !transposed && groups === 1 && rows < FEW_ROWS && kernel[0] * kernel[1] > 1 && dense;
}

/** Numbers of a patch: the rows of all taps, and zeros up to a multiple of four. */
export function patchSize({ kernel, rows }: GatherShape): number {
  return 4 * Math.ceil((kernel[0] * kernel[1] * rows) / 4);
}

/**
 * The patches: [pixel][tap][row]. A thread copies a line of taps.
 * @param window the uniforms of `window_of`
 */
export function patchesProgram(conv: GatherShape, window: readonly Uniform[], to: ProgramOperand): WgslProgram {
  const { batch, target, kernel, rows } = conv;
  const count = batch * target[0] * target[1] * kernel[0];
  return {
    key: `conv2d/patches/${rows}`,
    code: () => `${WINDOWS}

${linearMain(
  'u.count',
  `  let pixel = index / u.taps_h;
  let ty = index % u.taps_h;
  let window = window_of(pixel);
  let y = u32(window.y + i32(ty * u.offset_step_h));
  // Numbers of the line of the image, which those of the taps follow each other in: where they begin, and which are inside of it.
  let first = window.x * i32(u.rows);
  let line = (window.image * u.source_h + y) * u.source_w * u.rows;
  let size = select(0u, u.source_w * u.rows, y < u.source_h);
  let to = pixel * u.patch_size + ty * u.taps_w * u.rows;
  for (var i = 0u; i < u.taps_w * u.rows; i += u.rows) {
${lines(
  rows,
  (r) => `    let at${r} = u32(first + i32(i + ${r}u));
    patches[to + i + ${r}u] = select(0.0, source[line + min(at${r}, size)], at${r} < size);`,
)}
  }
  // Behind the last line.
  if (ty + 1u == u.taps_h) {
    for (var i = u.taps_h * u.taps_w * u.rows; i < u.patch_size; i++) { patches[pixel * u.patch_size + i] = 0.0; }
  }`,
)}`,
    bindings: [
      { name: 'source', type: 'f32', operand: { input: 0 } },
      { name: 'patches', type: 'f32', operand: to },
    ],
    uniforms: [...window, ['count', 'u32', count], ['patch_size', 'u32', patchSize(conv)], ['rows', 'u32', rows]],
    workgroups: linearGrid(count),
  };
}

/** The weights of each channel, with zeros up to the size of a patch, in f32 or f16. */
export function patchWeightsProgram(conv: GatherShape, type: 'f32' | 'f16'): WgslProgram {
  const { kernel, rows, columns } = conv;
  const patch = patchSize(conv);
  return {
    key: `conv2d/patches/weights/${type}`,
    code: () =>
      linearMain(
        'u.count',
        `  let i = index % u.patch_size;
  let inside = i < u.weights;
  y[index] = ${type}(select(0.0, w[select(0u, index / u.patch_size * u.weights + i, inside)], inside));`,
      ),
    extensions: type === 'f16' ? ['f16'] : [],
    bindings: [
      { name: 'w', type: 'f32', operand: { input: 0 } },
      { name: 'y', type, operand: { output: 0 } },
    ],
    uniforms: [
      ['count', 'u32', columns * patch],
      ['patch_size', 'u32', patch],
      ['weights', 'u32', kernel[0] * kernel[1] * rows],
    ],
    workgroups: linearGrid(columns * patch),
  };
}

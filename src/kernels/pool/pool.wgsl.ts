import type { TensorSpec } from '../../tensor/layout.ts';
import { sizeOf } from '../../tensor/shape.ts';
import type { Pair } from '../core/pair.ts';
import { linearGrid, linearMain, type Uniform, type WgslProgram } from '../webgpu/program.ts';
import { imageDims, type Pool2dAttributes } from './windows.ts';

/*
 * Shaders of pooling and its gradients, with one thread for each element that is written, or for those of four channels where channels are
 * a multiple of four (`linearGrid`):
 *
 *   y[p] = max or (1 / divisor(p)) sum over q in window(p) of  x[q]
 *   dx[q] = sum over windows p that hold q of  dy[p] where q is the first maximum of p, or dy[p] / divisor(p)
 *
 * A thread of a gradient visits the windows that hold its position, so no two threads write to one address. Where adaptive windows do not
 * overlap, as in a global average, a thread writes to all positions of one.
 * Channels are innermost in memory, so neighbouring threads read neighbouring addresses.
 *
 * All places are vec2i(row, column). `Window` is the part of a window inside the input: start <= position < end, in steps.
 * `holders` are the first and the last window that can hold a position.
 */

/** Uniforms with an entry for height and one for width. */
const PAIRS = ['input', 'output', 'kernel', 'stride', 'padding', 'dilation'] as const;
type PairName = (typeof PAIRS)[number];

/** WGSL functions that read those uniforms that a shader has: `stride()` for example. */
const pairFunctions = (names: readonly PairName[]) =>
  names.map((name) => `fn ${name}() -> vec2i { return vec2i(u.${name}_height, u.${name}_width); }`).join('\n');

const COMMON = `struct Window { start: vec2i, end: vec2i, divisor: i32 }
struct Holders { first: vec2i, last: vec2i }

fn address(image: i32, place: vec2i, channel: i32, size: vec2i) -> i32 {
  return ((image * size.x + place.x) * size.y + place.y) * u.channels + channel;
}`;

const STRIDED = `${pairFunctions(PAIRS)}
${COMMON}

fn window(place: vec2i) -> Window {
  let origin = place * stride() - padding();
  let limit = min(origin + dilation() * (kernel() - 1) + 1, input() + padding());
  let start = origin + max((dilation() - 1 - origin) / dilation(), vec2i(0)) * dilation();
  let end = min(limit, input());
  let counted = select(end - start, limit - origin, u.count_include_pad == 1);
  return Window(start, end, counted.x * counted.y);
}

fn holders(position: vec2i) -> Holders {
  let padded = position + padding();
  let behind = max(padded - dilation() * (kernel() - 1), vec2i(0));
  return Holders((behind + stride() - 1) / stride(), min(padded / stride(), output() - 1));
}`;

const ADAPTIVE = `${pairFunctions(['input', 'output'])}
${COMMON}

fn window(place: vec2i) -> Window {
  let start = place * input() / output();
  let end = ((place + 1) * input() + output() - 1) / output();
  let counted = end - start;
  return Window(start, end, counted.x * counted.y);
}

fn holders(position: vec2i) -> Holders {
  return Holders(position * output() / input(), ((position + 1) * output() + input() - 1) / input() - 1);
}`;

/** What a thread computes with: numbers of one channel or of four. */
interface Types {
  readonly number: 'f32' | 'vec4f';
  readonly integer: 'i32' | 'vec4i';
  readonly bits: 'u32' | 'vec4u';
  readonly bool: 'bool' | 'vec4<bool>';
}

const ONE: Types = { number: 'f32', integer: 'i32', bits: 'u32', bool: 'bool' };
const FOUR: Types = { number: 'vec4f', integer: 'vec4i', bits: 'vec4u', bool: 'vec4<bool>' };

/** NaN is told by its bits, because a driver may assume that comparisons never see one. */
const maximum = ({ number, integer, bits, bool }: Types) => `struct Maximum { at: ${integer}, value: ${number} }

fn is_nan(value: ${number}) -> ${bool} {
  return (bitcast<${bits}>(value) & ${bits}(0x7fffffffu)) > ${bits}(0x7f800000u);
}

fn number_of(place: vec2i) -> ${integer} { return ${integer}(place.x * input().y + place.y); }

// The first maximum of a window; for one that lies in the padding, the value of the padding at -1.
fn maximum(image: i32, channel: i32, w: Window) -> Maximum {
  var best = Maximum(${integer}(-1), ${number}(u.padding_value));
  for (var row = w.start.x; row < w.end.x; row += u.dilation_height) {
    for (var column = w.start.y; column < w.end.y; column += u.dilation_width) {
      let place = vec2i(row, column);
      let value = x[address(image, place, channel, input())];
      let larger = (best.at < ${integer}(0)) | ((value > best.value) & !is_nan(best.value)) | is_nan(value);
      best = Maximum(select(best.at, number_of(place), larger), select(best.value, value, larger));
    }
  }
  return best;
}`;

/** Which element of an image of the given size the thread writes: `image`, `place`, `channel`. */
const locate = (size: string) => `  let pixel = i32(index) / u.channels;
  let channel = i32(index) - pixel * u.channels;
  let line = pixel / ${size}.y;
  let image = line / ${size}.x;
  let place = vec2i(line - image * ${size}.x, pixel - line * ${size}.y);`;

/** The sum of `term` over the windows that may hold the thread's position; it sees the window's place as `holder`. */
const gather = ({ number }: Types, term: string) => `${locate('input()')}
  let range = holders(place);
  var sum = ${number}();
  for (var row = range.first.x; row <= range.last.x; row++) {
    for (var column = range.first.y; column <= range.last.y; column++) {
      let holder = vec2i(row, column);
      ${term}
    }
  }
  dx[index] = sum;`;

const average = ({ number }: Types) => `${locate('output()')}
  let w = window(place);
  var sum = ${number}();
  for (var row = w.start.x; row < w.end.x; row++) {
    for (var column = w.start.y; column < w.end.y; column++) {
      sum += x[address(image, vec2i(row, column), channel, input())];
    }
  }
  y[index] = sum / f32(w.divisor);`;

const averageGradient = (types: Types) =>
  gather(types, 'sum += dy[address(image, holder, channel, output())] / f32(window(holder).divisor);');

/** Where windows lie side by side, a thread writes to all positions of its own. */
const SPREAD = `${locate('output()')}
  let w = window(place);
  let change = dy[index] / f32(w.divisor);
  for (var row = w.start.x; row < w.end.x; row++) {
    for (var column = w.start.y; column < w.end.y; column++) {
      dx[address(image, vec2i(row, column), channel, input())] = change;
    }
  }`;

const MAX = `${locate('output()')}
  y[index] = maximum(image, channel, window(place)).value;`;

const maxGradient = (types: Types) =>
  gather(
    types,
    `let top = maximum(image % u.images, channel, window(holder));
      let change = dy[address(image, holder, channel, output())];
      sum += select(${types.number}(), change, top.at == number_of(place));`,
  );

const shader = (functions: readonly string[], body: string) =>
  `${functions.join('\n\n')}\n\n${linearMain('u.count', body)}`;

const FORWARD = [
  { name: 'x', operand: { input: 0 } },
  { name: 'y', operand: { output: 0 } },
] as const;
const AVERAGE_BACKWARD = [
  { name: 'dy', operand: { input: 0 } },
  { name: 'dx', operand: { output: 0 } },
] as const;
const MAX_BACKWARD = [...AVERAGE_BACKWARD, { name: 'x', operand: { input: 1 } }] as const;

/** Name, code and operands of each shader. */
const shaders = {
  max: [(types: Types) => shader([STRIDED, maximum(types)], MAX), FORWARD],
  maxGradient: [(types: Types) => shader([STRIDED, maximum(types)], maxGradient(types)), MAX_BACKWARD],
  average: [(types: Types) => shader([STRIDED], average(types)), FORWARD],
  averageGradient: [(types: Types) => shader([STRIDED], averageGradient(types)), AVERAGE_BACKWARD],
  adaptive: [(types: Types) => shader([ADAPTIVE], average(types)), FORWARD],
  adaptiveGradient: [(types: Types) => shader([ADAPTIVE], averageGradient(types)), AVERAGE_BACKWARD],
  adaptiveSpread: [() => shader([ADAPTIVE], SPREAD), AVERAGE_BACKWARD],
} as const;

type PoolShader = keyof typeof shaders;

/** The gradient of adaptive pooling of `x` with respect to it, from the cotangent `dy`. */
export function adaptiveGradientProgram(x: TensorSpec, dy: TensorSpec, dx: TensorSpec): WgslProgram {
  const [input, output] = [imageDims(x).size, imageDims(dy).size];
  const disjoint = input[0] % output[0] === 0 && input[1] % output[1] === 0;
  return disjoint
    ? poolProgram('adaptiveSpread', undefined, x, dy, dy)
    : poolProgram('adaptiveGradient', undefined, x, dy, dx);
}

/**
 * One of the shaders for the pooling of `x` to `y`.
 * @param attributes of `pool2d`; undefined for the adaptive shaders
 * @param threads the tensor that has an element for each thread, or four: the one that is written, but for `adaptiveSpread`
 */
export function poolProgram(
  name: PoolShader,
  attributes: Pool2dAttributes | undefined,
  x: TensorSpec,
  y: TensorSpec,
  threads: TensorSpec,
): WgslProgram {
  const { images, channels, size: input } = imageDims(x);
  const [code, bindings] = shaders[name];
  const [types, width] = channels % 4 === 0 ? [FOUR, 4] : [ONE, 1];
  const count = sizeOf(threads.shape) / width;
  return {
    key: `pool/${name}/${width}`,
    code: () => code(types),
    bindings: bindings.map((binding) => ({ ...binding, type: types.number })),
    uniforms: [
      ['count', 'u32', count],
      ['images', 'i32', images],
      ['channels', 'i32', channels / width],
      ...pairUniforms('input', input),
      ...pairUniforms('output', imageDims(y).size),
      ...(attributes ? stridedUniforms(attributes) : []),
    ],
    workgroups: linearGrid(count),
  };
}

function stridedUniforms({ kernel, stride, padding, dilation, countIncludePad }: Pool2dAttributes): Uniform[] {
  return [
    ...pairUniforms('kernel', kernel),
    ...pairUniforms('stride', stride),
    ...pairUniforms('padding', padding),
    ...pairUniforms('dilation', dilation),
    ['count_include_pad', 'i32', countIncludePad ? 1 : 0],
    // WGSL has no literal for it.
    ['padding_value', 'f32', Number.NEGATIVE_INFINITY],
  ];
}

function pairUniforms(name: PairName, [height, width]: Pair): Uniform[] {
  return [
    [`${name}_height`, 'i32', height],
    [`${name}_width`, 'i32', width],
  ];
}

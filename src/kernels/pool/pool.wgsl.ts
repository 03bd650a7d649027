import type { TensorSpec } from '../../tensor/layout.ts';
import { sizeOf } from '../../tensor/shape.ts';
import type { Pair } from '../core/pair.ts';
import { type Binding, linearGrid, linearMain, type Uniform, type WgslProgram } from '../webgpu/program.ts';
import { imageDims, type Pool2dAttributes } from './windows.ts';

/*
 * Shaders of pooling and its gradients, with one thread for each element that is written (`linearGrid`):
 *
 *   y[p] = max or (1 / divisor(p)) sum over q in window(p) of  x[q]
 *   dx[q] = sum over windows p that hold q of  dy[p] where q is the first maximum of p, or dy[p] / divisor(p)
 *
 * A thread of a gradient visits the windows that hold its position, so no two threads write to one address.
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

/** NaN is told by its bits, because a driver may assume that comparisons never see one. */
const MAXIMUM = `struct Maximum { place: vec2i, value: f32 }

fn is_nan(value: f32) -> bool { return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u; }

// The first maximum of a window; for one that lies in the padding, the value of the padding at (-1, -1).
fn maximum(image: i32, channel: i32, w: Window) -> Maximum {
  var best = Maximum(vec2i(-1), u.padding_value);
  for (var row = w.start.x; row < w.end.x; row += u.dilation_height) {
    for (var column = w.start.y; column < w.end.y; column += u.dilation_width) {
      let value = x[address(image, vec2i(row, column), channel, input())];
      let larger = best.place.x < 0 || (value > best.value && !is_nan(best.value));
      if (larger || is_nan(value)) { best = Maximum(vec2i(row, column), value); }
    }
  }
  return best;
}`;

/** Which element of an image of the given size the thread writes: `image`, `place`, `channel`. */
const locate = (size: string) => `  let channel = i32(index) % u.channels;
  let pixel = i32(index) / u.channels;
  let place = vec2i(pixel / ${size}.y % ${size}.x, pixel % ${size}.y);
  let image = pixel / (${size}.x * ${size}.y);`;

/** The sum of `term` over the windows that may hold the thread's position; it sees the window's place as `holder`. */
const gather = (term: string) => `${locate('input()')}
  let range = holders(place);
  var sum = 0.0;
  for (var row = range.first.x; row <= range.last.x; row++) {
    for (var column = range.first.y; column <= range.last.y; column++) {
      let holder = vec2i(row, column);
      ${term}
    }
  }
  dx[index] = sum;`;

const AVERAGE = `${locate('output()')}
  let w = window(place);
  var sum = 0.0;
  for (var row = w.start.x; row < w.end.x; row++) {
    for (var column = w.start.y; column < w.end.y; column++) {
      sum += x[address(image, vec2i(row, column), channel, input())];
    }
  }
  y[index] = sum / f32(w.divisor);`;

const AVERAGE_GRADIENT = gather('sum += dy[address(image, holder, channel, output())] / f32(window(holder).divisor);');

const MAX = `${locate('output()')}
  y[index] = maximum(image, channel, window(place)).value;`;

const MAX_GRADIENT = gather(`if (all(maximum(image % u.images, channel, window(holder)).place == place)) {
        sum += dy[address(image, holder, channel, output())];
      }`);

const shader = (functions: readonly string[], body: string) =>
  `${functions.join('\n\n')}\n\n${linearMain('u.count', body)}`;

const FORWARD: readonly Binding[] = [
  { name: 'x', type: 'f32', operand: { input: 0 } },
  { name: 'y', type: 'f32', operand: { output: 0 } },
];
const AVERAGE_BACKWARD: readonly Binding[] = [
  { name: 'dy', type: 'f32', operand: { input: 0 } },
  { name: 'dx', type: 'f32', operand: { output: 0 } },
];
const MAX_BACKWARD: readonly Binding[] = [...AVERAGE_BACKWARD, { name: 'x', type: 'f32', operand: { input: 1 } }];

/** Name, code and operands of each shader. */
const shaders = {
  max: [shader([STRIDED, MAXIMUM], MAX), FORWARD],
  maxGradient: [shader([STRIDED, MAXIMUM], MAX_GRADIENT), MAX_BACKWARD],
  average: [shader([STRIDED], AVERAGE), FORWARD],
  averageGradient: [shader([STRIDED], AVERAGE_GRADIENT), AVERAGE_BACKWARD],
  adaptive: [shader([ADAPTIVE], AVERAGE), FORWARD],
  adaptiveGradient: [shader([ADAPTIVE], AVERAGE_GRADIENT), AVERAGE_BACKWARD],
} as const;

/**
 * One of the shaders for the pooling of `x` to `y`.
 * @param attributes of `pool2d`; undefined for the adaptive shaders
 * @param written the tensor that it writes
 */
export function poolProgram(
  name: keyof typeof shaders,
  attributes: Pool2dAttributes | undefined,
  x: TensorSpec,
  y: TensorSpec,
  written: TensorSpec,
): WgslProgram {
  const { images, channels, size: input } = imageDims(x);
  const [code, bindings] = shaders[name];
  const count = sizeOf(written.shape);
  return {
    key: `pool/${name}`,
    code: () => code,
    bindings,
    uniforms: [
      ['count', 'u32', count],
      ['images', 'i32', images],
      ['channels', 'i32', channels],
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

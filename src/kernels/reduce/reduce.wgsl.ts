import { addressing, type IterationSpace } from '../core/iteration.ts';
import { linearMain, WORKGROUP } from '../webgpu/program.ts';
import { RANKS_ABOVE_WGSL } from './order.ts';

/*
 * y = f(x_0, x_1, ...) / divisor, where f is the sum or the maximum of `u.reduced_count` elements that begin at `x_at`.
 *
 * serial: one thread for each result. Grid: linear over the results.
 * tree:   one workgroup for each result; each thread combines every 64th element, then the 64 partial results are
 *         halved in workgroup memory six times. Grid: linear over the results, counted in workgroups.
 */

type Combination = 'sum' | 'max';

export const OPERANDS = ['y', 'x'];

export function serialReduction(fn: Combination, kept: IterationSpace, reduced: IterationSpace): string {
  const body = `${addressing(kept, OPERANDS)}
  ${combineEvery('1u', '0u')}
  y[y_at] = ${finish(fn)};`;
  return `${functions(fn, reduced)}\n\n${linearMain('u.count', body)}`;
}

export function treeReduction(fn: Combination, kept: IterationSpace, reduced: IterationSpace): string {
  return `${functions(fn, reduced)}

var<workgroup> totals: array<f32, ${WORKGROUP}>;

@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = group.y * groups.x + group.x;
  if (index >= u.count) { return; }
${addressing(kept, OPERANDS)}
  ${combineEvery(`${WORKGROUP}u`, 'lane')}
  totals[lane] = total;
  for (var width = ${WORKGROUP / 2}u; width > 0u; width /= 2u) {
    workgroupBarrier();
    if (lane < width) { totals[lane] = combine(totals[lane], totals[lane + width]); }
  }
  if (lane > 0u) { return; }
  total = totals[0];
  y[y_at] = ${finish(fn)};
}`;
}

function functions(fn: Combination, reduced: IterationSpace): string {
  return [fn === 'max' ? MAX : SUM, reducedAddress(reduced)].join('\n\n');
}

/** `start` gives a value to begin with that leaves the result as it is: for the maximum, one of the elements. */
const SUM = `fn start(x_at: u32) -> f32 { return 0.0; }

fn combine(a: f32, b: f32) -> f32 { return a + b; }`;

const MAX = `${RANKS_ABOVE_WGSL}

fn start(x_at: u32) -> f32 { return x[x_at]; }

fn combine(a: f32, b: f32) -> f32 { return select(a, b, ranks_above(b, a)); }`;

const finish = (fn: Combination) => (fn === 'max' ? 'total' : 'total / u.divisor');

function combineEvery(step: string, first: string): string {
  return `var total = start(x_at);
  for (var k = ${first}; k < u.reduced_count; k += ${step}) { total = combine(total, x[x_at + reduced_address(k)]); }`;
}

/** `reduced_address(k)`: where the k-th element of those along the reduced axes lies, relative to the first. */
function reducedAddress({ sizes }: IterationSpace): string {
  const loops = sizes.map((_, loop) => loop).reverse();
  const terms = loops.map(
    (loop) =>
      `  address += (rest % u.reduced_size${loop}) * u.reduced_stride${loop};\n  rest /= u.reduced_size${loop};`,
  );
  return `fn reduced_address(k: u32) -> u32 {
  var rest = k;
  var address = 0u;
${terms.join('\n')}
  return address;
}`;
}

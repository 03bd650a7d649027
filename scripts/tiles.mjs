/*
 * Writes the innermost loops of matrix products for the AssemblyScript kernels: one function for each height of a tile.
 * They are generated because AssemblyScript has no way to say 'for each of these registers'.
 *
 * A tile is ROWS x 8 sums, in 2 * ROWS vector registers. A step of the sum loads 8 weights into two registers and, row by
 * row, one value into all lanes of a third. V8 moves all loads of a basic block ahead of its arithmetic, so that a block
 * that serves all rows needs more registers than the 16 of x86, at half the speed. Hence the exits that are never taken:
 * each ends a block, and keeps all sums in their registers.
 */

/** Steps in one turn of the loop, which share the additions to the addresses. */
const UNROLL = 2;
/** Bytes of a row of weights. */
const ROW = 32;

const times = (n, line) => Array.from({ length: n }, (_, i) => line(i));
const indent = (text, by) => text.replace(/^(?=.)/gm, ' '.repeat(by));

/** @param {number[]} heights rows of the tiles that are wanted */
export function tilesSource(heights) {
  return `/* Made by scripts/tiles.mjs. */\nimport { multiplyAdd, VECTOR } from '../core/vector.as';\n\n${heights.map(tiles).join('\n')}`;
}

function tiles(rows) {
  const each = (line) => times(rows, line).join('\n');
  let exits = 0;
  const step = (u) => `
const left${u} = v128.load(w, ${ROW * u});
const right${u} = v128.load(w, ${ROW * u + 16});
${times(
  rows,
  (i) => `const x${i}_${u} = v128.load32_splat(at${i}, ${4 * u});
left_${i} = multiplyAdd(x${i}_${u}, left${u}, left_${i});
right_${i} = multiplyAdd(x${i}_${u}, right${u}, right_${i});`,
).join(`\nif (w == EXIT) break;\n`)}`;
  const numbered = (code) => code.replaceAll('EXIT', () => String(2 * exits++ + 1));
  const loop = (condition, unroll) => `
while (${condition}) {
${indent(times(unroll, step).join('\nif (w == EXIT) break;').trim(), 2)}
  w += ${ROW * unroll};
${indent(
  each((i) => `at${i} += ${4 * unroll};`),
  2,
)}
}`;
  return `
/** \`panels\` tiles of ${rows} rows beside each other, see \`multiplyTiles\`. */
export function tiles${rows}(sources: usize, targets: usize, x: usize, outer: usize, outerStep: usize, inner: usize, innerStep: usize, length: usize, w: usize, panels: usize, y: usize, bias: usize, residual: usize, relu: bool): void {
  const zero = f32x4.splat(0);
${indent(
  each((i) => `const x${i} = x + load<u32>(sources, ${4 * i});`),
  2,
)}
  for (let column: usize = 0; column < panels * ${ROW}; column += ${ROW}) {
${indent(
  each((i) => `let left_${i} = zero;\nlet right_${i} = zero;`),
  4,
)}
    for (let o: usize = 0; o < outer; o++) {
      let from = o * outerStep;
      for (let i: usize = 0; i < inner; i++) {
        const end = w + length * ${ROW};
        const whole = w + (length - (length % ${UNROLL})) * ${ROW};
${indent(
  each((i) => `let at${i} = x${i} + from;`),
  8,
)}
${indent(numbered(loop('w < whole', UNROLL) + loop('w < end', 1)).trim(), 8)}
        from += innerStep;
      }
    }
    if (bias) {
      const left = v128.load(bias + column);
      const right = v128.load(bias + column, VECTOR);
${indent(
  each((i) => `left_${i} = f32x4.add(left_${i}, left);\nright_${i} = f32x4.add(right_${i}, right);`),
  6,
)}
    }
    if (residual) {
${indent(
  each(
    (i) => `const to${i} = residual + load<u32>(targets, ${4 * i}) + column;
left_${i} = f32x4.add(left_${i}, v128.load(to${i}));
right_${i} = f32x4.add(right_${i}, v128.load(to${i}, VECTOR));`,
  ),
  6,
)}
    }
    if (relu) {
      // Lets a NaN come through: it is not less than 0.
${indent(
  each((i) => `left_${i} = f32x4.pmax(left_${i}, zero);\nright_${i} = f32x4.pmax(right_${i}, zero);`),
  6,
)}
    }
${indent(
  each(
    (i) =>
      `const y${i} = y + load<u32>(targets, ${4 * i}) + column;\nv128.store(y${i}, left_${i});\nv128.store(y${i}, right_${i}, VECTOR);`,
  ),
  4,
)}
  }
}
`;
}

/*
 * Compiles this folder into training/dist and starts one of its programs: `node training/run.mjs train --minutes 60`.
 * The library is not bundled: it is the built one that trains.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { build } from 'esbuild';

const PROGRAMS = ['train', 'sheet', 'evaluate', 'localise', 'draw'];
const folder = fileURLToPath(new URL('./', import.meta.url));
const [program, ...rest] = process.argv.slice(2);

function fail(message) {
  console.error(`training: ${message}`);
  process.exit(1);
}
if (!PROGRAMS.includes(program)) fail(`say what to run: ${PROGRAMS.join(', ')}`);
if (!existsSync(`${folder}../dist/index.js`)) fail('dist/ is missing; run "npm run build" first');
if (!existsSync(`${folder}node_modules`)) {
  fail('the artwork is missing; run "npm ci --prefix training --ignore-scripts" first');
}
const { FmgcamError } = await import('../dist/index.js');
const { hasRelaxedSimd } = await import('../dist/kernels/cpu/wasm/kernels.js');

/** What is imported from src/ is the built library at run time. */
const library = {
  name: 'library',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/src\// }, ({ path }) => ({
      path: path.replace('../src/', '../../dist/').replace(/\.ts$/, '.js'),
      external: true,
    }));
  },
};

// As the command does: Node 20 has fused multiply-add behind this flag. The same seed gives other weights without it.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');

await build({
  entryPoints: [...PROGRAMS, 'worker'].map((name) => `${folder}${name}.ts`),
  outdir: `${folder}dist`,
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  format: 'esm',
  plugins: [library],
});
process.argv = [process.argv[0], process.argv[1], ...rest];
await import(`./dist/${program}.js`).catch((error) =>
  fail(error instanceof FmgcamError || error.code ? error.message : error.stack),
);

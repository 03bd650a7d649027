/*
 * `npm run bench`: compiles this folder into bench/dist, which takes a second or two, and starts it.
 *
 * Bundles and not a loader of TypeScript, because what is measured has to run in processes that hold nothing else.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { build } from 'esbuild';

const bench = fileURLToPath(new URL('./', import.meta.url));
const WORKERS = ['ours', 'cold', 'kernels', 'convolutions', 'memory', 'methods'].concat([
  'onnxruntime',
  'tfjs',
  'tfjs-convolutions',
]);

if (!existsSync(`${bench}../dist/index.js`)) {
  console.error('bench: dist/ is missing, and it is the built library that is measured; run "npm run build" first');
  process.exit(1);
}
await build({
  entryPoints: [`${bench}main.ts`, ...WORKERS.map((name) => `${bench}workers/${name}.ts`)],
  entryNames: '[name]',
  outdir: `${bench}dist`,
  bundle: true,
  packages: 'external',
  platform: 'node',
  target: 'node20',
  format: 'esm',
});
await compilePeak('fma', []);
await compilePeak('fma-relaxed', ['--enable', 'relaxed-simd']);
await import('./dist/main.js');

async function compilePeak(name, features) {
  const { error, stderr } = await asc.main(
    ['workers/fma.as.ts', '--baseDir', bench, '--outFile', `dist/${name}.wasm`]
      .concat(['-O3', '--runtime', 'stub', '--enable', 'simd'])
      .concat(features),
  );
  if (error) throw new Error(`AssemblyScript: ${error.message}\n${stderr}`);
}

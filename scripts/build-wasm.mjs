/*
 * Compiles the AssemblyScript kernels (src/**.as.ts), with and without relaxed SIMD, into one TypeScript file that holds
 * them as base64: Node, bundlers and browsers load it alike, without a request or eval. Does nothing while the file is
 * newer than its sources. `npm run build` runs it, and so does vitest before the tests (its default export).
 */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import asc from 'assemblyscript/asc';
import { tilesSource } from './tiles.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));
const ENTRY = 'src/kernels/cpu/wasm/module.as.ts';
const TILES = `${root}src/kernels/matmul/tiles.generated.as.ts`;
const RESULT = `${root}src/kernels/cpu/wasm/builds.generated.ts`;

export default async function buildWasm() {
  if (isUpToDate()) return;
  writeFileSync(TILES, tilesSource([4, 5, 6]));
  const builds = { simd: await compile(), relaxedSimd: await compile('--enable', 'relaxed-simd') };
  const lines = Object.entries(builds).map(([name, bytes]) => `  ${name}: '${Buffer.from(bytes).toString('base64')}',`);
  writeFileSync(
    RESULT,
    `/* Made by scripts/build-wasm.mjs. */\nexport const BUILDS = {\n${lines.join('\n')}\n} as const;\n`,
  );
}

function isUpToDate() {
  if (!existsSync(RESULT)) return false;
  const modified = (path) => statSync(path).mtimeMs;
  const sources = readdirSync(`${root}src`, { recursive: true }).filter((path) => path.endsWith('.as.ts'));
  const scripts = [fileURLToPath(import.meta.url), `${root}scripts/tiles.mjs`];
  return [...sources.map((path) => `${root}src/${path}`), ...scripts].every(
    (path) => modified(path) < modified(RESULT),
  );
}

async function compile(...features) {
  const outFile = 'kernels.wasm';
  let bytes;
  const { error, stderr } = await asc.main(
    [
      ...[ENTRY, '--baseDir', root, '--outFile', outFile, '-O3', '--noAssert', '--runtime', 'stub', ...features],
      // The module has no memory of its own and no static data: it works in the heap of the device.
      ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
      ...['--enable', 'simd', '--enable', 'threads', '--enable', 'bulk-memory'],
    ],
    {
      writeFile: (name, contents) => {
        if (name === outFile) bytes = contents;
      },
    },
  );
  if (error || !bytes) throw new Error(`AssemblyScript: ${error?.message}\n${stderr.toString()}`);
  return bytes;
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await buildWasm();

import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'esbuild';
import { BENCH, ROOT } from '../../paths.ts';

/** One script of an entry of this folder, for browsers and Deno. It cannot be bundled if it reaches a module of Node. */
export async function bundle(entry: 'page' | 'deno'): Promise<string> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`webgpu/remote/${entry}.ts`, BENCH))],
    bundle: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    write: false,
    plugins: [ofBrowsers()],
  });
  return outputFiles.map(({ text }) => text).join('\n');
}

/** What the package's field `browser` says of built files, for their sources. */
function ofBrowsers(): Plugin {
  const { browser }: { browser: Record<string, string | false> } = JSON.parse(
    readFileSync(new URL('package.json', ROOT), 'utf8'),
  );
  return {
    name: 'sources of browsers',
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
        const built = relative(fileURLToPath(ROOT), path).replace(/^src\/(.*)\.ts$/, './dist/$1.js');
        const instead = browser[built];
        if (!instead) return undefined;
        const source = instead.replace(/^\.\/dist\/(.*)\.js$/, 'src/$1.ts');
        return { contents: readFileSync(new URL(source, ROOT), 'utf8'), loader: 'ts' };
      });
    },
  };
}

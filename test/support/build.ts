import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

/** Suites that run `dist`: the command, the bundle, the benchmark, the README's example. */
const SUITES = /\/test\/(?:cli\/|browser\/|deno\/|readme\.)/;

/** Builds before those suites run, so that they run what is in `src`. */
export default function build({ vitest }: TestProject): void {
  if (!vitest.state.getPaths().some((path) => SUITES.test(path))) return;
  const cwd = fileURLToPath(new URL('../../', import.meta.url));
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd, stdio: 'inherit' });
  if (status !== 0) throw new Error(`npm run build failed with status ${status}`);
}

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/* What the suites of this folder need; in continuous integration it must be there. */

export const DENO = fileURLToPath(new URL('node_modules/deno/bin.cjs', import.meta.url));
export const LAVAPIPE = '/usr/share/vulkan/icd.d/lvp_icd.json';

const absent = [DENO, LAVAPIPE].find((file) => !existsSync(file));
/** Why they are skipped. */
export const missing =
  absent === DENO ? 'npm ci --prefix test/deno --ignore-scripts installs Deno' : absent && 'lavapipe is not installed';
if (missing && process.env.CI) throw new Error(`CI must have Deno and lavapipe: ${missing}`);

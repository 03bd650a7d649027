import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';

/** Weights, photographs and PyTorch's values that are too large for the repository, in a folder beside it. */
const ROOT = new URL('../../../shared/', import.meta.url);
const present = existsSync(ROOT);
if (!present && process.env.CI) throw new Error(`CI must have ${fileURLToPath(ROOT)}`);

export function shared(path: string): Buffer {
  return readFileSync(new URL(path, ROOT));
}

/** A suite that needs the shared folder; skipped, and saying so, where there is none. */
export function describeShared(name: string, suite: () => void): void {
  describe.skipIf(!present)(present ? name : `${name} (skipped: no folder ../shared)`, suite);
}

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { BENCH } from '../paths.ts';

/* The peers may be missing, and their types with them: each worker declares the little that it uses. */

const require = createRequire(new URL('package.json', BENCH));

/** A dependency of bench/package.json. */
export async function importPeer<Peer>(name: string): Promise<Peer> {
  return (await import(pathToFileURL(resolvePeer(name)).href)).default;
}

export function resolvePeer(name: string): string {
  try {
    return require.resolve(name);
  } catch {
    throw new Error(`${name} is not installed; run "npm ci --prefix bench --ignore-scripts"`);
  }
}

export function peerVersion(name: string): string {
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', BENCH), 'utf8'));
  return String(dependencies[name]);
}

import { readFileSync } from 'node:fs';

/** The version of this library, as the package beside the built files says it. */
export function libraryVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return String(version);
}

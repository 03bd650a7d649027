import { renameSync, writeFileSync } from 'node:fs';

/** Nobody ever sees half a file under this name. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  writeFileSync(`${path}.partial`, content);
  renameSync(`${path}.partial`, path);
}

import { readFileSync } from 'node:fs';
import { describe, inject } from 'vitest';

/* Whole networks with random weights and what PyTorch computes with them (scripts/pytorch/README.md). */

const networks = inject('networks');

/** `<network>.pth`, `<network>.safetensors` or `<network>.expected.safetensors`. */
export function networkFile(file: string): Buffer {
  if (!('folder' in networks)) throw new Error(`${file} is read in a suite that is skipped`);
  return readFileSync(networks.folder + file);
}

/** A suite that needs the networks; skipped, and saying so, where there is no PyTorch to make them. */
export function describeNetworks(name: string, suite: () => void): void {
  const missing = 'missing' in networks ? networks.missing : undefined;
  describe.skipIf(missing !== undefined)(missing ? `${name} (skipped: ${missing})` : name, suite);
}

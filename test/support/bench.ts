import { expect, vi } from 'vitest';
import { webgpu } from '../../bench/commands/webgpu.ts';
import { parseOptions } from '../../bench/options.ts';
import { readResults } from '../../bench/webgpu/files.ts';
import type { Results } from '../../bench/webgpu/results.ts';
import { temporaryFolder } from './command.ts';

const LAYERS = ['1x1 128→256, 28x28 to 196 pixels', '1x1 256→512, 14x14 to 49 pixels'] as const;

/**
 * `npm run bench -- webgpu` elsewhere, with a small layer, and then with another from the same file.
 * @returns the results, which are valid by the schema
 */
export async function measureTwoLayers(place: readonly string[]): Promise<Results> {
  const file = `${temporaryFolder()}/results.json`;
  vi.spyOn(console, 'error').mockReturnValue();
  const measure = async (layer: string) => {
    const args = ['--model', 'resnet18', '--rounds', '1', '--only', layer, '--json', file];
    await webgpu(parseOptions(['webgpu', ...place, ...args]));
    return readResults(file);
  };
  const first = await measure(LAYERS[0]);
  const both = await measure(LAYERS[1]);
  expect(both.layers.map(({ name }) => name).sort()).toEqual(LAYERS);
  // What was measured stays.
  expect(both.ceilings).toEqual(first.ceilings);
  expect(both.layers).toContainEqual(first.layers[0]);
  for (const { variants } of both.layers) {
    expect(variants.flatMap(({ rejected }) => rejected ?? [])).toEqual([]);
    for (const { wall } of variants) expect(wall).toHaveLength(1);
  }
  return both;
}

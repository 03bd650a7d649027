/** What the names of a state dict tell about the network, the most specific first. */
const FAMILIES: readonly (readonly [RegExp, string])[] = [
  [/^features\.denseblock1\./, 'a DenseNet'],
  [/^layer1\.0\.conv3\./, 'a ResNet of bottleneck blocks'],
  [/^layer1\.0\.conv2\./, 'a ResNet of basic blocks'],
  [/^features\.\d+\.weight$/, 'a VGG or AlexNet'],
  [/\battn\b|self_attention/, 'a transformer'],
];

/** Stage and block of a parameter of a ResNet or DenseNet. */
const BLOCK = /^(?:layer|features\.denseblock)(\d+)\.(?:denselayer)?(\d+)\./;

/**
 * The architecture that a state dict with these names belongs to, as far as names tell: `a ResNet of bottleneck blocks
 * (3, 4, 6, 3)`, with the number of blocks in each stage.
 */
export function describeArchitecture(names: Iterable<string>): string | undefined {
  const list = [...names];
  const family = FAMILIES.find(([pattern]) => list.some((name) => pattern.test(name)))?.[1];
  const depths = blocksPerStage(list);
  return family !== undefined && depths.length > 0 ? `${family} (${depths.join(', ')})` : family;
}

function blocksPerStage(names: readonly string[]): number[] {
  const stages = new Map<string, Set<string>>();
  for (const name of names) {
    const [, stage, block] = BLOCK.exec(name) ?? [];
    if (stage !== undefined && block !== undefined) stages.set(stage, (stages.get(stage) ?? new Set()).add(block));
  }
  return [...stages].sort(([a], [b]) => Number(a) - Number(b)).map(([, blocks]) => blocks.size);
}

import type { Tiling } from '../webgpu/tiles.ts';

/** What was measured on an adapter before this version was published. */
interface ShippedTable {
  /** Which adapters it holds for, by their description. */
  readonly adapter: RegExp;
  /** By `productKey`: only products for which something else than the heuristic's choice was clearly faster. */
  readonly best: Readonly<Record<string, Tiling>>;
}

const SHIPPED: readonly ShippedTable[] = [];

export function shippedFor(description: string): ShippedTable['best'] | undefined {
  return SHIPPED.find(({ adapter }) => adapter.test(description))?.best;
}

import { type Engine, FLOAT } from '../cpu/wasm/call.ts';

/** Columns of a panel of weights, see gemm.as.ts. */
export const COLUMNS = 8;
/** Bytes of x and of weights that a unit reads, so that they stay in a second-level cache. */
const X_BYTES = 1 << 17;
const W_BYTES = 1 << 18;
/** What the table of a unit's pixels has room for. */
const MOST_PIXELS = 4096;
/** Any number of pixels from 20 on is a sum of whole tiles of 5 and 6. */
const FEWEST_PIXELS = 20;
/** As many units as keep several threads busy until the end, where each is worth its share: so many products at least. */
const UNITS = 32;
const PRODUCTS = 1 << 19;

/** See `Gemm` of gemm.as.ts; what is left out is 0. */
export interface Gemm {
  readonly groups: number;
  readonly x: { readonly address: number } & Distances;
  readonly y: { readonly address: number } & Distances;
  readonly height: number;
  readonly width: number;
  readonly pixels: number;
  readonly outer: number;
  readonly outerStep: number;
  readonly inner: number;
  readonly innerStep: number;
  readonly length: number;
  /** The address of the panels of all groups. */
  readonly panels: number;
  readonly columns: number;
  readonly bias?: number;
  readonly residual?: number;
  readonly relu?: boolean;
}

/** In bytes. */
interface Distances {
  readonly group: number;
  readonly image: number;
  readonly row: number;
  readonly column: number;
}

/** Bytes of one panel of a sum of so many products. */
export function panelBytes(products: number): number {
  return FLOAT * COLUMNS * products;
}

export function panelsOf(columns: number): number {
  return Math.ceil(columns / COLUMNS);
}

/**
 * How many products are summed in single precision before their sum is added, in double precision, to those of the other
 * blocks: about the root of their number. The rounding of random products grows with the root of a block's length, and
 * sums of few products are in the first layers, whose errors all layers behind them amplify.
 */
function blockLength(products: number): number {
  return 2 ** Math.max(3, Math.floor(Math.log2(products) / 2));
}

export function runGemm(product: Gemm, { run, exact }: Pick<Engine, 'run' | 'exact'>): void {
  const { groups, x, y, pixels, outer, inner, length, columns } = product;
  const products = outer * inner * length;
  const panels = panelsOf(columns);
  const panel = panelBytes(products);
  const units = shareOut(product, products, panels);
  const job = {
    x: x.address,
    xGroup: x.group,
    xImage: x.image,
    xRow: x.row,
    xColumn: x.column,
    y: y.address,
    yGroup: y.group,
    yImage: y.image,
    yRow: y.row,
    yColumn: y.column,
    height: product.height,
    width: product.width,
    pixels,
    outer,
    outerStep: product.outerStep,
    inner,
    innerStep: product.innerStep,
    length,
    w: product.panels,
    wGroup: panels * panel,
    panel,
    columns,
    bias: product.bias ?? 0,
    residual: product.residual ?? 0,
    relu: Number(product.relu ?? false),
    block: exact ? blockLength(products) : 0,
    ...units,
  };
  run('gemm', job, groups * units.pixelUnits * units.panelUnits);
}

/** Cuts the pixels and the panels of a group into ranges of nearly equal size. */
function shareOut({ groups, x, pixels }: Gemm, products: number, panels: number) {
  const pixelBytes = Math.max(FLOAT, Math.min(x.column, FLOAT * products));
  const mostPixelUnits = Math.max(1, Math.floor(pixels / FEWEST_PIXELS));
  let pixelUnits = Math.min(Math.ceil((pixels * pixelBytes) / X_BYTES), mostPixelUnits);
  pixelUnits = Math.max(pixelUnits, Math.ceil(pixels / MOST_PIXELS));
  let panelUnits = Math.min(Math.ceil((panels * panelBytes(products) + 1) / W_BYTES), panels);
  const worth = (groups * pixels * panels * COLUMNS * products) / PRODUCTS;
  while (groups * pixelUnits * panelUnits < Math.min(UNITS, worth)) {
    if (panelUnits < panels && pixels * panelUnits < panels * COLUMNS * pixelUnits) panelUnits *= 2;
    else if (pixelUnits * 2 <= mostPixelUnits) pixelUnits *= 2;
    else if (panelUnits < panels) panelUnits *= 2;
    else break;
  }
  const unitPixels = Math.ceil(pixels / pixelUnits);
  const unitPanels = Math.ceil(panels / panelUnits);
  return {
    unitPixels,
    pixelUnits: Math.ceil(pixels / unitPixels),
    unitPanels,
    panelUnits: Math.ceil(panels / unitPanels),
  };
}

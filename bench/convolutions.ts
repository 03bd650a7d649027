/* What ResNet-50 has to compute and to hold, whoever computes it. */

/** A convolution over a square image, with padding that keeps the size apart from the stride. */
export interface Convolution {
  readonly channels: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  /** Height and width of the input. */
  readonly size: number;
  /** Whether the block's shortcut is added to the result. */
  readonly residual: boolean;
}

const BLOCKS = [3, 4, 6, 3] as const;
const EXPANSION = 4;
const FEATURES = 2048;
const CLASSES = 1000;
const FLOAT = 4;

/** All 53 convolutions of ResNet-50 at 224 x 224, in the order of the network (v1.5: the 3x3 has the stride). */
export function resnet50Convolutions(): Convolution[] {
  const list: Convolution[] = [{ channels: 3, out: 64, kernel: 7, stride: 2, size: 224, residual: false }];
  let [channels, size] = [64, 56];
  for (const [stage, count] of BLOCKS.entries()) {
    const width = 64 * 2 ** stage;
    const out = width * EXPANSION;
    for (let block = 0; block < count; block++) {
      const stride = stage > 0 && block === 0 ? 2 : 1;
      list.push({ channels, out: width, kernel: 1, stride: 1, size, residual: false });
      list.push({ channels: width, out: width, kernel: 3, stride, size, residual: false });
      if (block === 0) list.push({ channels, out, kernel: 1, stride, size, residual: false });
      size /= stride;
      list.push({ channels: width, out, kernel: 1, stride: 1, size, residual: true });
      channels = out;
    }
  }
  return list;
}

/** Those behind stage 1, 2, 3 or 4, which are `layer1` ... `layer4`. */
export function convolutionsBehind(stage: number): Convolution[] {
  // Three in each block, and one in the shortcut of the first.
  const before = BLOCKS.slice(0, stage).reduce((sum, blocks) => sum + 3 * blocks + 1, 1);
  return resnet50Convolutions().slice(before);
}

/** Height and width of the result. */
export function outputSize({ kernel, stride, size }: Convolution): number {
  return Math.floor((size + 2 * padding(kernel) - kernel) / stride) + 1;
}

export function padding(kernel: number): number {
  return (kernel - 1) / 2;
}

/** Floating-point operations: a product and a sum for each weight and position. */
export function operations(convolution: Convolution): number {
  const { channels, out, kernel } = convolution;
  return 2 * channels * out * kernel ** 2 * outputSize(convolution) ** 2;
}

/** Speed, from operations and milliseconds. */
export function gflops(operations: number, time: number): number {
  return operations / 1e6 / time;
}

export function describe({ channels, out, kernel, stride, size }: Convolution): string {
  return `${kernel}x${kernel}${stride > 1 ? ` /${stride}` : ''} ${channels}→${out} at ${size}²`;
}

/** Each shape once, and how often the network has it. */
export function distinctShapes(
  list: readonly Convolution[],
): { readonly shape: Convolution; readonly count: number }[] {
  const found = new Map<string, { shape: Convolution; count: number }>();
  for (const shape of list) {
    const known = found.get(describe(shape));
    if (known) known.count += 1;
    else found.set(describe(shape), { shape, count: 1 });
  }
  return [...found.values()];
}

/** The weights and biases of ResNet-50 with batch norms folded into the convolutions, in bytes. */
export function weightBytes(): number {
  const convolutions = resnet50Convolutions().map(({ channels, out, kernel }) => out * (channels * kernel ** 2 + 1));
  return FLOAT * convolutions.reduce((sum, count) => sum + count, CLASSES * (FEATURES + 1));
}

/** What must be there at once at the least: operands and result of the largest single step, in bytes. */
export function liveActivationBytes(): number {
  return Math.max(
    ...resnet50Convolutions().map((convolution) => {
      const { channels, out, size, residual } = convolution;
      const result = out * outputSize(convolution) ** 2;
      return FLOAT * (channels * size ** 2 + result + (residual ? result : 0));
    }),
  );
}

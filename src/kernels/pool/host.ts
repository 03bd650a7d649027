import type { HostOperand } from '../device.ts';
import { imageDims, type Windows } from './windows.ts';

/* The host kernels of both pooling ops. Images lie in memory as [N][H][W][C], so the innermost loop runs over channels. */

/** `imageDims` with the number of elements of one image. */
function extent(tensor: HostOperand) {
  const { images, channels, size } = imageDims(tensor);
  const [height, width] = size;
  return { images, channels, width, imageSize: channels * height * width };
}

/**
 * Calls `visit` for every position of every window of one image, window by window in row-major order, with the address
 * within the image of channel 0 of the result and of the position.
 */
function eachPosition(
  { rows, columns }: Windows,
  width: number,
  channels: number,
  visit: (output: number, input: number, divisor: number) => void,
): void {
  let output = 0;
  for (const row of rows) {
    for (const column of columns) {
      const divisor = row.count * column.count;
      for (let i = row.start; i < row.end; i += row.step) {
        for (let j = column.start; j < column.end; j += column.step) visit(output, (i * width + j) * channels, divisor);
      }
      output += channels;
    }
  }
}

/** For each result, the address within the image of the first maximum of its window; -1 for a window in the padding. */
function maxima(x: HostOperand, image: number, windows: Windows): Int32Array {
  const { channels, width, imageSize } = extent(x);
  const { data } = x;
  const base = image * imageSize;
  const winners = new Int32Array(windows.rows.length * windows.columns.length * channels).fill(-1);
  eachPosition(windows, width, channels, (output, input) => {
    for (let c = 0; c < channels; c++) {
      const winner = winners[output + c] as number;
      const value = data[base + input + c] as number;
      const isLarger = winner < 0 || value > (data[base + winner] as number) || Number.isNaN(value);
      if (isLarger) winners[output + c] = input + c;
    }
  });
  return winners;
}

export function maxPool(x: HostOperand, y: HostOperand, windows: Windows): void {
  const { images, imageSize } = extent(x);
  const { data } = x;
  for (let image = 0; image < images; image++) {
    const winners = maxima(x, image, windows);
    for (let i = 0; i < winners.length; i++) {
      const winner = winners[i] as number;
      y.data[image * winners.length + i] =
        winner < 0 ? Number.NEGATIVE_INFINITY : (data[image * imageSize + winner] as number);
    }
  }
}

/** @param dy [K N, C, oh, ow]: image `n % N` of `x` belongs to image n of it */
export function maxPoolGradient(dy: HostOperand, x: HostOperand, dx: HostOperand, windows: Windows): void {
  const { images, imageSize } = extent(x);
  const { images: cotangents, imageSize: outputSize } = extent(dy);
  const sums = new Float64Array(imageSize);
  for (let image = 0; image < images; image++) {
    const winners = maxima(x, image, windows);
    for (let n = image; n < cotangents; n += images) {
      sums.fill(0);
      for (let i = 0; i < outputSize; i++) {
        const winner = winners[i] as number;
        if (winner >= 0) sums[winner] = (sums[winner] as number) + (dy.data[n * outputSize + i] as number);
      }
      dx.data.set(sums, n * imageSize);
    }
  }
}

export function averagePool(x: HostOperand, y: HostOperand, windows: Windows): void {
  const { images, channels, width, imageSize } = extent(x);
  const { imageSize: outputSize } = extent(y);
  const { data } = x;
  const means = new Float64Array(outputSize);
  for (let image = 0; image < images; image++) {
    const base = image * imageSize;
    means.fill(0);
    eachPosition(windows, width, channels, (output, input, divisor) => {
      for (let c = 0; c < channels; c++) {
        means[output + c] = (means[output + c] as number) + (data[base + input + c] as number) / divisor;
      }
    });
    y.data.set(means, image * outputSize);
  }
}

export function averagePoolGradient(dy: HostOperand, dx: HostOperand, windows: Windows): void {
  const { images, channels, width, imageSize } = extent(dx);
  const { imageSize: outputSize } = extent(dy);
  const { data } = dy;
  const sums = new Float64Array(imageSize);
  for (let image = 0; image < images; image++) {
    const base = image * outputSize;
    sums.fill(0);
    eachPosition(windows, width, channels, (output, input, divisor) => {
      for (let c = 0; c < channels; c++) {
        sums[input + c] = (sums[input + c] as number) + (data[base + output + c] as number) / divisor;
      }
    });
    dx.data.set(sums, image * imageSize);
  }
}

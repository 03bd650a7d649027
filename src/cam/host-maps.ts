import type { OverlayMap } from '../image/overlay.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** The maps of the first image of [N,K,I,J] on the host, one by one. */
export async function hostMaps(maps: Tensor): Promise<OverlayMap[]> {
  const [, K = 0, height = 0, width = 0] = maps.shape;
  const data = Float32Array.from(await maps.data());
  return Array.from({ length: K }, (_, k) => ({
    data: data.slice(k * height * width, (k + 1) * height * width),
    height,
    width,
  }));
}

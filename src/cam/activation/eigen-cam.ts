import { mul, reshape } from '../../kernels/index.ts';
import type { Method } from '../method.ts';
import { atLayer, componentOfClasses } from './at-layer.ts';
import { firstComponent } from './principal.ts';

export interface EigenCamOptions {
  /** Whether the mean pixel is taken out before the decomposition; `true` when left out. */
  readonly centre?: boolean;
}

/**
 * Eigen-CAM (Muhammad and Yeasin 2020, arXiv:2008.00299, equation 2): the projection of the pixels on the first right
 * singular vector of the activations [I J, C]. It asks for no class and no gradient.
 *
 * Implementations differ twice. The paper does not centre the pixels, and its component is then close to their mean;
 * pytorch-grad-cam takes the mean pixel out, as is the default here (`centre`). And the sign of a singular vector is
 * arbitrary, in pytorch-grad-cam too, where a ReLU follows: here the map is high where activations are (`firstComponent`).
 * @returns [N,1,I,J], signed
 */
export const eigenCam =
  (options: EigenCamOptions = {}): Method =>
  (call) =>
    atLayer(call, async ({ activations }) => {
      const [N = 1, , I = 1, J = 1] = activations.shape;
      return reshape(await firstComponent(activations, options), [N, 1, I, J]);
    });

/**
 * Eigen-GradCAM: Eigen-CAM of the activations times their gradients, so that each class has its own. It comes from
 * pytorch-grad-cam and has no paper. The map is high where HiResCAM, the sum over channels, is.
 * @returns [N,K,I,J], signed
 */
export const eigenGradCam: Method = (call) =>
  atLayer(call, ({ activations, gradients }) => {
    const [N = 1, C = 1, I = 1, J = 1] = activations.shape;
    return componentOfClasses(mul(gradients(), reshape(activations, [N, 1, C, I, J])));
  });

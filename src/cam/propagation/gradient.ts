import { mul } from '../../kernels/index.ts';
import type { Method } from '../method.ts';
import { backToInput, inOnePass, strongestColour, sumOfColours } from './backward.ts';

/**
 * Vanilla saliency (Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034, section 3.1): how much each pixel can change
 * the logit, M[i,j] = max over colours c of |d y[k] / d x[c,i,j]|. No value is negative.
 *
 * Implementations differ in the colours: Captum returns all three with their sign, and others the sum of magnitudes. Some
 * differentiate the probability, which mixes in the other classes; here as in the paper it is the logit.
 * @returns [N,K,H,W]
 */
export const gradient: Method = inOnePass((call, input) => strongestColour(backToInput(call, input)));

/**
 * Input times gradient (Shrikumar et al. 2016, arXiv:1605.01713): the sum over colours c of x[c,i,j] d y[k] / d x[c,i,j],
 * the first-order share of each pixel in the logit. x is the prepared image, so that a pixel of the mean colour gets 0.
 *
 * In a network of ReLUs without biases the shares add up to the logit.
 * @returns [N,K,H,W], signed
 */
export const inputXGradient: Method = inOnePass((call, input) => sumOfColours(mul(backToInput(call, input), input)));

export { gradient, inputXGradient } from './gradient.ts';
export { guidedBackprop } from './guided-backprop.ts';
export { type IntegratedGradientsOptions, integratedGradients } from './integrated-gradients.ts';
export { LRP_RULES, type LrpOptions, type LrpRule, lrp } from './lrp.ts';
export { type SmoothGradOptions, smoothGrad } from './smooth-grad.ts';

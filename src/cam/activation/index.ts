export { type CombineOptions, combine, weightedChannels } from './at-layer.ts';
export { cam } from './cam.ts';
export {
  type AtLayer,
  type ChannelWeights,
  gradCamPlusPlusWeights,
  gradCamWeights,
  hiResCamWeights,
  layerCamWeights,
  xGradCamWeights,
} from './channel-weights.ts';
export { type EigenCamOptions, eigenCam, eigenGradCam } from './eigen-cam.ts';
export { type Region, type SegXResCamOptions, segXResCam } from './seg-xres-cam.ts';

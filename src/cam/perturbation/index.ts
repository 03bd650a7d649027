export { SCORES, type Score } from './masked.ts';
export { type OcclusionOptions, occlusion } from './occlusion.ts';
export { type RiseOptions, rise } from './rise.ts';

import { resnetScenes } from '../src/nn/models/resnet.ts';
import { CLASS_NAMES } from './classes.ts';

/** The network that learns the scenes. */
export const buildNetwork = () => resnetScenes(CLASS_NAMES.length);

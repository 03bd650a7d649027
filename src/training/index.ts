export { initialise } from './initialise.ts';
export { crossEntropy } from './loss.ts';
export { type AdamWOptions, adamW, type Optimiser, type SgdOptions, sgd, type Update } from './optimisers.ts';
export { type WarmUpCosineOptions, warmUpCosine } from './schedule.ts';
export { type Differentiated, Trainable } from './trainable.ts';
export { Trainer } from './trainer.ts';

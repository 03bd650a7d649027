import { type GradientRule, onlyCotangent } from '../gradient.ts';
import type { CopyAttributes } from './index.ts';

export const copyGradient: GradientRule<CopyAttributes> = (call) => [() => onlyCotangent(call).alias()];

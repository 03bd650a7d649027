// @ts-check
import { serve } from './share.js';

addEventListener('message', ({ data }) => serve(data), { once: true });

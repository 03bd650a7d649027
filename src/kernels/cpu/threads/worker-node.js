// @ts-check
import { workerData } from 'node:worker_threads';
import { serve } from './share.js';

serve(workerData);

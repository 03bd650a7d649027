/*
 * What is measured runs in child processes that stay up, so that runs of several runtimes can alternate in one window.
 * Parent and child exchange lines of JSON: requests on the child's standard input, one answer to each on its file
 * descriptor 3 (standard output is left to runtimes that print on it).
 */

import type { Convolution } from './convolutions.ts';

export const ANSWERS = 3;

export interface Request {
  readonly call: string;
  readonly argument: unknown;
}

export type Answer = { readonly result: unknown } | { readonly error: string };

/** What computes: the CPU, or the adapter that WebGPU prefers, which may be a software driver. */
export const PROCESSORS = ['cpu', 'webgpu'] as const;
export type Processor = (typeof PROCESSORS)[number];

/** What a runtime needs to know to run a network. All paths are absolute. */
export interface Job {
  readonly network: string;
  readonly device: Processor;
  readonly threads: number;
  /** The state dict, in the two formats that we read, and PyTorch. */
  readonly safetensors: string;
  readonly pth: string;
  readonly onnx: string;
  /** [1,3,224,224], float32, row-major */
  readonly input: string;
}

/** Convolutions by name, for runtimes that run them one by one on WebGPU. */
export type Convolutions = Readonly<Record<string, Convolution>>;

/** Convolutions that follow each other before the host waits for the last, as it does in a network. */
export const CONVOLUTIONS_PER_WAIT = 4;

/** The action that returns all that a convolution computes; its name alone stands for `CONVOLUTIONS_PER_WAIT` of them. */
export const whole = (convolution: string) => `${convolution}, whole`;

/** Times an action so often, one run after the other, and returns milliseconds. */
export interface Timing {
  readonly action: string;
  readonly times: number;
}

/*
 * What is measured runs in child processes that stay up, so that runs of several runtimes can alternate in one window.
 * Parent and child exchange lines of JSON: requests on the child's standard input, one answer to each on its file
 * descriptor 3 (standard output is left to runtimes that print on it).
 */

export const ANSWERS = 3;

export interface Request {
  readonly call: string;
  readonly argument: unknown;
}

export type Answer = { readonly result: unknown } | { readonly error: string };

/** What a runtime needs to know to run a network. All paths are absolute. */
export interface Job {
  readonly network: string;
  readonly threads: number;
  /** The state dict, in the two formats that we read, and PyTorch. */
  readonly safetensors: string;
  readonly pth: string;
  readonly onnx: string;
  /** [1,3,224,224], float32, row-major */
  readonly input: string;
}

/** Times an action so often, one run after the other, and returns milliseconds. */
export interface Timing {
  readonly action: string;
  readonly times: number;
}

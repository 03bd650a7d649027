import { constants } from 'node:os';
import { FmgcamError } from '../errors.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
type Signal = (typeof SIGNALS)[number];

/** Somebody asked the process to end: Ctrl-C, or a scheduler. */
export class Cancelled extends FmgcamError {
  override readonly name = 'Cancelled';
  /** 128 and the number of the signal, as shells have it. */
  readonly exitCode: number;

  constructor(signal: Signal, advice: string) {
    super(`stopped by ${signal}; ${advice}`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * Runs what can be cancelled by SIGINT (Ctrl-C) and SIGTERM; a second one ends the process at once.
 * @param advice what is left, and how to go on
 */
export async function cancellable<Result>(
  advice: string,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const cancel = (signal: Signal) => controller.abort(new Cancelled(signal, advice));
  for (const signal of SIGNALS) process.once(signal, cancel);
  try {
    return await run(controller.signal);
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, cancel);
  }
}

import { FmgcamError } from '../errors.ts';

/** The user has enough: Ctrl-C. */
export class Cancelled extends FmgcamError {
  override readonly name = 'Cancelled';

  constructor() {
    super('cancelled');
  }
}

/** Runs what can be cancelled by Ctrl-C; a second Ctrl-C ends the process at once. */
export async function cancellable<Result>(run: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const cancel = () => controller.abort(new Cancelled());
  process.once('SIGINT', cancel);
  try {
    return await run(controller.signal);
  } finally {
    process.removeListener('SIGINT', cancel);
  }
}

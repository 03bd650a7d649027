/**
 * Errors that a user can act on. The message is one line: it names the file or argument, says what is wrong with it,
 * and what to do. Anything else that is thrown is a defect of this library.
 */
export class FmgcamError extends Error {
  override readonly name: string = 'FmgcamError';
}

/** An argument is wrong: an unknown name, a value out of range, shapes that do not fit. The command exits with 2. */
export class UsageError extends FmgcamError {
  override readonly name = 'UsageError';
}

/** What was read is wrong: a corrupt image, a checkpoint of another architecture. The command exits with 1. */
export class InputError extends FmgcamError {
  override readonly name = 'InputError';
}

/** The machine cannot do it: no adapter, out of memory, device lost. The command exits with 1. */
export class DeviceError extends FmgcamError {
  override readonly name = 'DeviceError';
}

/** The message of anything that was thrown, on one line. */
export function messageOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return message.replace(/\s*\n\s*/g, ' ');
}

#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8';
import { Command, CommanderError } from 'commander';
import { FmgcamError, messageOf, UsageError } from '../errors.ts';
import { hasRelaxedSimd } from '../kernels/cpu/wasm/kernels.ts';
import { libraryVersion } from '../library-version.ts';
import { Cancelled } from './cancel.ts';
import { diffCommand } from './diff.ts';
import { doctorCommand } from './doctor.ts';
import { evaluateCommand } from './evaluate.ts';
import { explainCommand } from './explain.ts';
import { layersCommand } from './layers.ts';
import { mergeCommand } from './merge.ts';
import { reportCommand } from './report.ts';
import { tuneCommand } from './tune.ts';

/** Exit status: 0 done, 1 failed, 2 wrong usage, 130 or 143 stopped by Ctrl-C or SIGTERM. */
const FAILED = 1;
const WRONG_USAGE = 2;

function program(): Command {
  const fmgcam = new Command('fmgcam')
    .description("FM-G-CAM: which parts of an image speak for each of a network's top classes")
    .version(libraryVersion());
  const commands = [
    explainCommand,
    evaluateCommand,
    mergeCommand,
    reportCommand,
    layersCommand,
    doctorCommand,
    tuneCommand,
    diffCommand,
  ];
  for (const command of commands.map((make) => make())) {
    fmgcam.addCommand(command);
  }
  for (const command of [fmgcam, ...fmgcam.commands]) {
    // Errors come out below, in one place and on one line.
    command
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .allowExcessArguments(false);
  }
  return fmgcam;
}

// Fused multiply-add is behind a flag in Node 20, and newer versions do not know the flag.
if (!hasRelaxedSimd()) setFlagsFromString('--experimental-wasm-relaxed-simd');

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version are errors to commander, with exit code 0; so is a call without a command, with another code.
    if (error.exitCode !== 0) {
      complain(
        error.code === 'commander.help'
          ? 'no command is given; see `fmgcam --help`'
          : error.message.replace(/^error: /, ''),
      );
    }
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE;
  } else {
    complain(
      error instanceof FmgcamError
        ? error.message
        : `unexpected ${error instanceof Error ? error.name : 'error'}: ${messageOf(error)}`,
    );
    if (process.env.FMGCAM_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Cancelled) return error.exitCode;
  return error instanceof UsageError ? WRONG_USAGE : FAILED;
}

function complain(message: string): void {
  process.stderr.write(`fmgcam: ${messageOf(message)}\n`);
}

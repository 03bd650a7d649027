import { existsSync, writeFileSync } from 'node:fs';
import { messageOf, UsageError } from '../src/errors.ts';
import { cam } from './commands/cam.ts';
import { cold } from './commands/cold.ts';
import { compare } from './commands/compare.ts';
import type { Findings } from './commands/findings.ts';
import { kernels } from './commands/kernels.ts';
import { memory } from './commands/memory.ts';
import { methods } from './commands/methods.ts';
import { metrics } from './commands/metrics.ts';
import { peers } from './commands/peers.ts';
import { webgpu } from './commands/webgpu.ts';
import { thisMachine } from './machine.ts';
import { type CommandName, type Options, parseOptions, USAGE } from './options.ts';
import { BENCH } from './paths.ts';
import { type Report, renderMarkdown, renderText } from './report.ts';

/* `npm run bench`: progress on standard error, the report on standard output. */

/** Exit status: 0 measured, 1 failed, 2 wrong usage. */
const FAILED = 1;
const WRONG_USAGE = 2;

const COMMANDS: Record<CommandName, (options: Options) => Promise<Findings>> = {
  peers,
  kernels,
  cam,
  methods,
  metrics,
  cold,
  memory,
  webgpu,
  compare,
};

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 0 || args.includes('--help')) {
    console.log(USAGE);
    return;
  }
  const options = parseOptions(args);
  if (options.command === 'peers' && !existsSync(new URL('node_modules', BENCH))) {
    console.error('the peers are not installed; "npm ci --prefix bench --ignore-scripts" installs them (500 MB)');
  }
  const findings = await COMMANDS[options.command](options);
  const report: Report = { command: options.command, machine: thisMachine(), ...findings };
  if (options.json !== undefined && report.measurements !== undefined)
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  console.log(options.markdown ? renderMarkdown(report) : renderText(report));
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  process.exitCode = error instanceof UsageError ? WRONG_USAGE : FAILED;
}

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../src/errors.ts';
import { BENCH, BUNDLES } from './paths.ts';
import { ANSWERS, type Answer, type Convolutions, type Job, type Request } from './protocol.ts';

/** No request takes this long, in milliseconds; a worker that does not answer is killed. */
const PATIENCE = 300_000;
/** An idle worker ends within this time when it is told to. */
const GRACE = 5_000;

interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly threads: number;
}

/** A child process that answers requests, one at a time. */
export class Worker {
  readonly #child: ChildProcess;
  readonly #requests: Writable;
  readonly #answers: AsyncIterator<string>;

  constructor({ command, args, threads }: Program) {
    this.#child = spawn(command, args, {
      // What it prints goes to our standard error.
      stdio: ['pipe', 2, 2, 'pipe'],
      env: {
        ...process.env,
        FMGCAM_THREADS: `${threads}`,
        OMP_NUM_THREADS: `${threads}`,
        OPENBLAS_NUM_THREADS: `${threads}`,
        MKL_NUM_THREADS: `${threads}`,
      },
    });
    // An error to start shows as the end of the answers; one to write to a dead worker as well.
    this.#child.on('error', () => {});
    this.#requests = this.#child.stdio[0] as Writable;
    this.#requests.on('error', () => {});
    this.#answers = createInterface({ input: this.#child.stdio[ANSWERS] as Readable })[Symbol.asyncIterator]();
  }

  /** @throws Error with what the worker says went wrong, or when it dies or does not answer */
  async request(call: string, argument: unknown = null): Promise<unknown> {
    const request: Request = { call, argument };
    this.#requests.write(`${JSON.stringify(request)}\n`);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE);
    const { value, done } = await this.#answers.next().finally(() => clearTimeout(timer));
    if (done) throw new Error(`${this.#child.spawnargs.join(' ')} has ended during "${call}" (${await this.#end()})`);
    const answer: Answer = JSON.parse(value);
    if ('error' in answer) throw new Error(answer.error);
    return answer.result;
  }

  /** Prepares the work; returns versions and settings, for the report. */
  async load(job: Job | Convolutions): Promise<string> {
    return String(await this.request('load', job));
  }

  /** The WebGPU adapter that it computes on; undefined where the runtime does not tell. */
  async adapter(): Promise<string | undefined> {
    const adapter = await this.request('adapter');
    return typeof adapter === 'string' ? adapter : undefined;
  }

  /** What an action computes, row-major. */
  async output(action: string): Promise<number[]> {
    return numbers(await this.request('output', action));
  }

  /** Milliseconds of each of so many runs of an action. */
  async time(action: string, times: number): Promise<number[]> {
    return numbers(await this.request('time', { action, times }));
  }

  async stop(): Promise<void> {
    this.#requests.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), GRACE);
    await this.#end();
    clearTimeout(timer);
  }

  async #end(): Promise<string> {
    const { exitCode, signalCode, pid } = this.#child;
    if (pid === undefined) return 'it could not be started';
    if (exitCode === null && signalCode === null) await once(this.#child, 'exit');
    return `status ${this.#child.exitCode ?? this.#child.signalCode}`;
  }
}

/** JSON has no NaN: it comes as null. */
function numbers(result: unknown): number[] {
  if (!Array.isArray(result)) throw new Error('a worker returned no list of numbers');
  return result.map((value) => (typeof value === 'number' ? value : Number.NaN));
}

/** Node 20 has relaxed SIMD behind a flag that later versions do not know. */
export const RELAXED_SIMD = Number.parseInt(process.versions.node, 10) < 21 ? ['--experimental-wasm-relaxed-simd'] : [];

/** A worker of this folder in Node. */
export function nodeWorker(
  script: string,
  threads: number,
  options: { flags?: readonly string[]; args?: readonly string[] } = {},
): Worker {
  const { flags = [], args = [] } = options;
  const file = fileURLToPath(new URL(`${script}.js`, BUNDLES));
  return new Worker({ command: process.execPath, args: [...flags, file, ...args], threads });
}

export const PYTHON = process.env.FMGCAM_PYTHON ?? '/usr/bin/python3';

export function pythonWorker(script: string, threads: number): Worker {
  return new Worker({ command: PYTHON, args: [fileURLToPath(new URL(`workers/${script}.py`, BENCH))], threads });
}

/** Runs workers that are stopped whatever happens. */
export async function withWorkers<Result>(
  run: (start: (worker: Worker) => Worker) => Promise<Result>,
): Promise<Result> {
  const workers: Worker[] = [];
  const start = (worker: Worker) => {
    workers.push(worker);
    return worker;
  };
  try {
    return await run(start);
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

/** The result of a worker's work, or why there is none. */
export async function attempt<Result>(work: Promise<Result>): Promise<{ result: Result } | { reason: string }> {
  try {
    return { result: await work };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

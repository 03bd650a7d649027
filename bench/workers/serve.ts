import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { messageOf } from '../../src/errors.ts';
import type { Convolution } from '../convolutions.ts';
import {
  ANSWERS,
  type Answer,
  CONVOLUTIONS_PER_WAIT,
  type Convolutions,
  type Job,
  type Request,
  type Timing,
  whole,
} from '../protocol.ts';

/** Something that can be run and timed; what it returns is compared between runtimes. */
export type Action = () => Promise<ArrayLike<number>>;

/** A prepared job: versions and settings for the report, and what can be timed. */
export interface Loaded {
  readonly about: string;
  /** The WebGPU adapter, where the runtime tells it. */
  readonly adapter?: string | undefined;
  readonly actions: Readonly<Record<string, Action>>;
}

/** Answers requests by name until standard input ends; then the process ends, whatever threads a runtime has left. */
export async function serve(handlers: Readonly<Record<string, (argument: never) => unknown>>): Promise<never> {
  for await (const line of createInterface({ input: process.stdin })) {
    const { call, argument }: Request = JSON.parse(line);
    let answer: Answer;
    try {
      const handler = handlers[call];
      if (!handler) throw new Error(`this worker does not know "${call}"`);
      answer = { result: (await handler(argument as never)) ?? null };
    } catch (error) {
      answer = { error: messageOf(error) };
    }
    writeSync(ANSWERS, `${JSON.stringify(answer)}\n`);
  }
  process.exit();
}

/** Serves the requests `load`, `adapter`, `output` and `time`. */
export function serveActions<Work extends Job | Convolutions = Job>(
  load: (job: Work) => Promise<Loaded>,
): Promise<never> {
  let loaded: Loaded | undefined;
  return serve({
    load: async (job: Work) => {
      loaded = await load(job);
      return loaded.about;
    },
    adapter: () => loaded?.adapter,
    output: async (name: string) => Array.from((await loaded?.actions[name]?.()) ?? []),
    time: timeRuns((name) => loaded?.actions[name]),
  });
}

/** A convolution on operands that lie on the device. */
export interface Prepared {
  /** Its result, row-major. */
  readonly all: Action;
  /** One value of the last of so many, which is there when all are. */
  readonly one: (runs: number) => ReturnType<Action>;
}

interface ConvolutionRuntime extends Omit<Loaded, 'actions'> {
  readonly prepare: (shape: Convolution) => Prepared;
}

/** Serves convolutions: actions of their names, to be timed, and `whole` ones, to be compared. */
export function serveConvolutions(open: () => Promise<ConvolutionRuntime>): Promise<never> {
  return serveActions(async (shapes: Convolutions) => {
    const { prepare, ...about } = await open();
    const prepared = Object.entries(shapes).map(([name, shape]) => [name, prepare(shape)] as const);
    const actions = prepared.flatMap(([name, { all, one }]): [string, Action][] => [
      [name, () => one(CONVOLUTIONS_PER_WAIT)],
      [whole(name), all],
    ]);
    return { ...about, actions: Object.fromEntries(actions) };
  });
}

/** The handler of the request `time`: milliseconds of each run. */
export function timeRuns(actionNamed: (name: string) => Action | undefined) {
  return async ({ action: name, times }: Timing): Promise<number[]> => {
    const action = actionNamed(name);
    if (!action) throw new Error(`there is no action "${name}"`);
    const milliseconds: number[] = [];
    for (let i = 0; i < times; i++) {
      const start = performance.now();
      await action();
      milliseconds.push(performance.now() - start);
    }
    return milliseconds;
  };
}

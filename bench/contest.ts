import { setTimeout as sleep } from 'node:timers/promises';
import { type Summary, summarise } from './statistics.ts';
import type { Worker } from './worker.ts';

/** One action of one worker, to be timed in turn with others. */
export interface Contestant {
  readonly worker: Worker;
  readonly action: string;
}

export interface Timed<C extends Contestant> {
  readonly contestant: C;
  /** Milliseconds, in the order of the runs. */
  readonly times: readonly number[];
  readonly summary: Summary;
}

export interface Pace {
  /** Runs before the first that counts: compilers have seen the code, and memory has been allocated. */
  readonly warmUp: number;
  /** Runs in one turn: the first one may still have to wake a processor or its threads. */
  readonly runsPerTurn: number;
}

const SHORT_RUNS: Pace = { warmUp: 3, runsPerTurn: 3 };
/** For runs that take long, which warm themselves up. */
export const LONG_RUNS: Pace = { warmUp: 1, runsPerTurn: 1 };

/** What a turn of the fastest contestant takes at least, in milliseconds, unless it takes too many runs. */
const TURN = 50;
const MOST_RUNS = 10;

/**
 * The pace of contestants of which some take a few milliseconds and others hundreds: their turns are long enough for caches and
 * threads that the others have had, and all have as many runs.
 */
export async function paceOf(contestants: readonly Contestant[]): Promise<Pace> {
  const times: number[] = [];
  for (const { worker, action } of contestants) times.push(...(await worker.time(action, 2)));
  return { warmUp: 0, runsPerTurn: Math.min(MOST_RUNS, Math.ceil(TURN / Math.min(...times))) };
}

/** Milliseconds before a turn, so that the threads of the one before have stopped spinning. */
const PAUSE = 50;

/**
 * Times all contestants in turn, A B C A B C ..., so that a slow spell of the machine is spread over all of them.
 */
export async function interleave<C extends Contestant>(
  contestants: readonly C[],
  rounds: number,
  { warmUp, runsPerTurn }: Pace = SHORT_RUNS,
): Promise<Timed<C>[]> {
  for (const { worker, action } of contestants) await worker.time(action, warmUp);
  const entries = contestants.map((contestant) => ({ contestant, times: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { contestant, times } of entries) {
      await sleep(PAUSE);
      times.push(...(await contestant.worker.time(contestant.action, runsPerTurn)));
    }
  }
  return entries.map((entry) => ({ ...entry, summary: summarise(entry.times) }));
}

export function conditionsOf(rounds: number, pace: Pace | typeof paceOf = SHORT_RUNS): string {
  const plural = (count: number, noun: string) => `${count} ${noun}${count > 1 ? 's' : ''}`;
  const runs =
    typeof pace === 'function'
      ? `as many runs as fill ${TURN} ms, ${MOST_RUNS} at most, of the faster runtime`
      : plural(pace.runsPerTurn, 'run');
  return `${plural(rounds, 'round')} of ${runs}, interleaved`;
}

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

export function conditionsOf(rounds: number, { runsPerTurn }: Pace = SHORT_RUNS): string {
  const plural = (count: number, noun: string) => `${count} ${noun}${count > 1 ? 's' : ''}`;
  return `${plural(rounds, 'round')} of ${plural(runsPerTurn, 'run')}, interleaved`;
}

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

/** Runs before the first that counts: compilers have seen the code, and memory has been allocated. */
const WARM_UP = 3;
/** Runs in one turn: the first one may still have to wake a processor or its threads. */
const RUNS_PER_TURN = 3;
/** Milliseconds before a turn, so that the threads of the one before have stopped spinning. */
const PAUSE = 50;

/**
 * Times all contestants in turn, A B C A B C ..., so that a slow spell of the machine is spread over all of them.
 */
export async function interleave<C extends Contestant>(
  contestants: readonly C[],
  rounds: number,
  warmUp = WARM_UP,
): Promise<Timed<C>[]> {
  for (const { worker, action } of contestants) await worker.time(action, warmUp);
  const entries = contestants.map((contestant) => ({ contestant, times: [] as number[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { contestant, times } of entries) {
      await sleep(PAUSE);
      times.push(...(await contestant.worker.time(contestant.action, RUNS_PER_TURN)));
    }
  }
  return entries.map((entry) => ({ ...entry, summary: summarise(entry.times) }));
}

export function conditionsOf(rounds: number): string {
  return `${rounds} round${rounds > 1 ? 's' : ''} of ${RUNS_PER_TURN} runs, interleaved`;
}

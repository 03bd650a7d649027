import { UsageError } from '../errors.ts';
import type { Shard } from '../metrics/evaluation/records.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const WHOLE: Shard = { index: 1, count: 1 };

/**
 * Which part of the images this process takes: as told, or from its place in a Slurm job array or a Kubernetes Indexed Job.
 * @param shard `i/n`, i from 1 to n
 * @param shards n, where the environment knows only i; a job array then counts from 0
 * @throws UsageError for numbers that make no shard
 */
export function chooseShard(shard: string | undefined, shards: number | undefined, env: Environment): Shard {
  if (shard !== undefined) return parseShard(shard);
  if (env.SLURM_ARRAY_TASK_ID !== undefined) return slurmShard(env, shards);
  if (env.JOB_COMPLETION_INDEX !== undefined) {
    if (shards === undefined)
      throw new UsageError('JOB_COMPLETION_INDEX says which shard this is, but not of how many; give --shards');
    return nth(number(env, 'JOB_COMPLETION_INDEX'), shards, 'JOB_COMPLETION_INDEX');
  }
  if (shards !== undefined && shards !== 1)
    throw new UsageError(
      `--shards ${shards} wants the number of this shard from SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX; give --shard i/${shards}`,
    );
  return WHOLE;
}

function parseShard(text: string): Shard {
  const [, index = 0, count = 0] = (/^(\d+)\/(\d+)$/.exec(text) ?? []).map(Number);
  if (index < 1 || index > count) throw new UsageError(`--shard ${text}: use i/n with i from 1 to n, such as 1/4`);
  return { index, count };
}

/** With `shards`, a single task that is submitted again (`--array=3`) stays the same shard; without, the array must be whole. */
function slurmShard(env: Environment, shards: number | undefined): Shard {
  const id = number(env, 'SLURM_ARRAY_TASK_ID');
  if (shards !== undefined) return nth(id, shards, 'SLURM_ARRAY_TASK_ID');
  const [least, most, count] = [
    number(env, 'SLURM_ARRAY_TASK_MIN'),
    number(env, 'SLURM_ARRAY_TASK_MAX'),
    number(env, 'SLURM_ARRAY_TASK_COUNT'),
  ];
  if (most - least + 1 !== count)
    throw new UsageError(
      `the job array has ${count} tasks from ${least} to ${most}, with gaps; give --shards, and count the array from 0`,
    );
  return { index: id - least + 1, count };
}

function nth(index: number, count: number, variable: string): Shard {
  if (index >= count)
    throw new UsageError(`${variable} is ${index}, but there are ${count} shards, counted from 0; start as many`);
  return { index: index + 1, count };
}

function number(env: Environment, variable: string): number {
  const text = env[variable] ?? '';
  if (!/^\d+$/.test(text)) throw new UsageError(`${variable} is "${text}", which is no number; give --shard i/n`);
  return Number(text);
}

/** The images of a shard: every n-th one. */
export function ofShard<T>(list: readonly T[], { index, count }: Shard): T[] {
  return list.filter((_, i) => i % count === index - 1);
}

import { DeviceError, InputError, messageOf } from '../../../src/errors.ts';
import { settleByItself } from '../../../src/kernels/webgpu/settle.ts';
import type { Progress } from '../host.ts';
import type { Host, Results } from '../results.ts';
import { measureNetworks } from '../run.ts';
import { type Job, PATHS } from './job.ts';
import { thisRuntime } from './runtime.ts';

/* Where a browser or Deno measures: it asks the command what to do, and posts all that it finds. */

/** What is shown while it runs. */
export interface Watcher {
  readonly begin: (host: Host) => void;
  readonly progress: (progress: Progress) => void;
  readonly results: (results: Results) => void;
  readonly done: (results: Results) => void;
  /** The command knows of it as well. */
  readonly failed: (message: string) => void;
}

/**
 * @param address of the command's server
 * @throws when it cannot be reached, or refuses
 */
export async function measureFor(address: string, watcher: Watcher): Promise<void> {
  const post = async (path: string, body: unknown) => {
    const response = await fetch(new URL(path, address), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const answer = await response.text();
    if (!response.ok) throw new InputError(answer);
    return answer;
  };
  const { session, task, date, library, machine, before }: Job = JSON.parse(await post(PATHS.job, {}));
  const tell = (path: string, content: unknown) => post(path, { session, content });
  const host = { runtime: await thisRuntime(), ...(machine ?? ownMachine()) };
  watcher.begin(host);
  if (before) watcher.results(before);
  try {
    const results = await measureNetworks(task, {
      source: requireGpu(),
      settle: settleByItself,
      host,
      date,
      library,
      before: before ?? undefined,
      findTable: async () => undefined,
      save: async (results) => {
        watcher.results(results);
        await tell(PATHS.results, results);
      },
      report: async (progress) => {
        watcher.progress(progress);
        await tell(PATHS.progress, progress);
      },
    });
    watcher.results(results);
    await tell(PATHS.results, results);
    await tell(PATHS.done, null);
    watcher.done(results);
  } catch (error) {
    watcher.failed(messageOf(error));
    // If the server is gone, it need not know.
    await tell(PATHS.failed, messageOf(error)).catch(() => {});
  }
}

/** Pages are told little of it. */
function ownMachine(): Omit<Host, 'runtime'> {
  return { system: navigator.platform, processor: 'an unknown processor', cores: navigator.hardwareConcurrency };
}

function requireGpu(): GPU {
  if ('gpu' in navigator) return navigator.gpu;
  throw new DeviceError('this browser has no navigator.gpu; use a current Chrome, Edge, Safari or Firefox');
}
